package egress

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestReadRequest(t *testing.T) {
	const line = "CONNECT example.com:443 HTTP/1.1\r\n"
	for name, tc := range map[string]struct {
		in   string
		code domain.Code
		rest string
	}{
		"Chromium's":                  {line + "Host: example.com:443\r\nProxy-Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\r\n", "", ""},
		"without headers":             {line + "\r\n", "", ""},
		"bytes behind it":             {line + "\r\n\x16\x03\x01", "", "\x16\x03\x01"},
		"Host without port":           {line + "Host: Example.com.\r\n\r\n", "", ""},
		"unknown header":              {line + "X-Anything: 1\r\n\r\n", "", ""},
		"empty header":                {line + "X-Anything:\r\n\r\n", "", ""},
		"longest head":                {line + "X: " + strings.Repeat("y", maxHead-len(line)-7) + "\r\n\r\n", "", ""},
		"one byte more":               {line + "X: " + strings.Repeat("y", maxHead-len(line)-6) + "\r\n\r\n", codeBadRequest, ""},
		"endless line":                {strings.Repeat("C", 3*maxHead), codeBadRequest, ""},
		"endless headers":             {line + strings.Repeat("A: b\r\n", maxHead), codeBadRequest, ""},
		"HTTP/1.0":                    {"CONNECT example.com:443 HTTP/1.0\r\n\r\n", codeBadRequest, ""},
		"HTTP/2.0":                    {"CONNECT example.com:443 HTTP/2.0\r\n\r\n", codeBadRequest, ""},
		"HTTP/1.10":                   {"CONNECT example.com:443 HTTP/1.10\r\n\r\n", codeBadRequest, ""},
		"lower version":               {"CONNECT example.com:443 http/1.1\r\n\r\n", domain.CodeBadAuthority, ""},
		"no version":                  {"CONNECT example.com:443\r\n\r\n", codeBadRequest, ""},
		"no target":                   {"CONNECT HTTP/1.1\r\n\r\n", domain.CodeBadAuthority, ""},
		"empty target":                {"CONNECT  HTTP/1.1\r\n\r\n", codeBadRequest, ""},
		"nothing but the method":      {"CONNECT\r\n\r\n", codeBadRequest, ""},
		"two spaces in front":         {"CONNECT  example.com:443 HTTP/1.1\r\n\r\n", codeBadRequest, ""},
		"two spaces behind":           {"CONNECT example.com:443  HTTP/1.1\r\n\r\n", codeBadRequest, ""},
		"space at the end":            {"CONNECT example.com:443 HTTP/1.1 \r\n\r\n", codeBadRequest, ""},
		"tabs":                        {"CONNECT\texample.com:443\tHTTP/1.1\r\n\r\n", codeBadRequest, ""},
		"line break in front":         {"\r\n" + line + "\r\n", codeBadRequest, ""},
		"line feeds alone":            {"CONNECT example.com:443 HTTP/1.1\nHost: example.com:443\n\n", codeBadRequest, ""},
		"a line feed ends the line":   {"CONNECT example.com:443 HTTP/1.1\n\r\n", codeBadRequest, ""},
		"a line feed ends a header":   {line + "A: b\n\r\n", codeBadRequest, ""},
		"a line feed ends the head":   {line + "A: b\r\n\n", codeBadRequest, ""},
		"line feed in a header":       {line + "A: b\nProxy-Authorization: x\r\n\r\n", codeBadRequest, ""},
		"carriage return in a header": {line + "A: b\rHost: evil.test\r\n\r\n", codeBadRequest, ""},
		"NUL in a header":             {line + "A: b\x00\r\n\r\n", codeBadRequest, ""},
		"line break in the target":    {"CONNECT example.com\r\nHost: evil.test:443 HTTP/1.1\r\n\r\n", domain.CodeBadAuthority, ""},
		"line feed in the target":     {"CONNECT example.com\n.evil.test:443 HTTP/1.1\r\n\r\n", domain.CodeBadAuthority, ""},
		"folded header":               {line + "A: b\r\n c\r\n\r\n", codeBadRequest, ""},
		"folded first header":         {line + " Host: example.com:443\r\n\r\n", codeBadRequest, ""},
		"space before the colon":      {line + "Host : example.com:443\r\n\r\n", codeBadRequest, ""},
		"no colon":                    {line + "Host\r\n\r\n", codeBadRequest, ""},
		"no field name":               {line + ": x\r\n\r\n", codeBadRequest, ""},
		"two Hosts, the same":         {line + "Host: example.com:443\r\nHost: example.com:443\r\n\r\n", codeBadRequest, ""},
		"two Hosts, the first wrong":  {line + "hOST: evil.test:443\r\nHost: example.com:443\r\n\r\n", codeBadRequest, ""},
		"another Host":                {line + "Host: evil.test:443\r\n\r\n", codeHostMismatch, ""},
		"another port in Host":        {line + "Host: example.com:80\r\n\r\n", codeHostMismatch, ""},
		"empty Host":                  {line + "Host:\r\n\r\n", codeHostMismatch, ""},
		"two names in Host":           {line + "Host: example.com, evil.test\r\n\r\n", codeHostMismatch, ""},
		"address in Host":             {line + "Host: 93.184.216.34:443\r\n\r\n", codeHostMismatch, ""},
		"body of no bytes":            {line + "Content-Length: 0\r\n\r\n", codeBadRequest, ""},
		"body in chunks":              {line + "tRANSFER-eNCODING: chunked\r\n\r\n0\r\n\r\n", codeBadRequest, ""},
		"trailer":                     {line + "Trailer: x\r\n\r\n", codeBadRequest, ""},
		"expectation":                 {line + "Expect: 100-continue\r\n\r\n", codeBadRequest, ""},
		"upgrade":                     {line + "Upgrade: h2c\r\n\r\n", codeBadRequest, ""},
		"credentials":                 {line + "PROXY-AUTHORIZATION: Bearer x\r\n\r\n", codeBadRequest, ""},
		"another method":              {"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", codeMethod, ""},
		"lower method":                {"connect example.com:443 HTTP/1.1\r\n\r\n", codeMethod, ""},
		"method that begins like it":  {"CONNECTX example.com:443 HTTP/1.1\r\n\r\n", codeMethod, ""},
		"HTTP/2's preface":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", codeBadRequest, ""},
		"HTTP/0.9":                    {"GET /\r\n", codeBadRequest, ""},
		"SOCKS4":                      {"\x04\x01\x01\xbb\x01\x02\x03\x04\x00", codeBadRequest, ""},
		"SOCKS5":                      {"\x05\x01\x00", codeBadRequest, ""},
		"TLS":                         {"\x16\x03\x01\x02\x00", codeBadRequest, ""},
		"header of PROXY":             {"PROXY TCP4 1.1.1.1 2.2.2.2 1 443\r\n" + line + "\r\n", codeBadRequest, ""},
		"cut off":                     {"CONNECT example.com:443 HT", codeBadRequest, ""},
		"cut off in the headers":      {line + "Host: exam", codeBadRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(tc.in)), maxHead)
			got, err := readRequest(r)
			if domain.CodeOf(err) != tc.code || (err == nil) != (got == "example.com") {
				t.Errorf("readRequest(%.100q) = %q, %v (%s), want %q", tc.in, got, err, domain.CodeOf(err), tc.code)
			}
			rest := make([]byte, 10)
			if n, _ := r.Read(rest); err == nil && string(rest[:min(n, 1)]) != tc.rest[:min(len(tc.rest), 1)] {
				t.Errorf("readRequest(%.100q) left %q, want %q", tc.in, rest[:n], tc.rest)
			}
		})
	}
	if _, err := readRequest(bufio.NewReaderSize(strings.NewReader(""), maxHead)); !errors.Is(err, errGone) {
		t.Errorf("readRequest of nothing: %v, want errGone: nobody asked", err)
	}
}

// What is taken is a CONNECT to the standard library, too, for the same host, without a body, and its
// end is at the same byte.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\nrest",
		"CONNECT  a.b:443 HTTP/1.1\r\n\r\n", "CONNECT a.b:443 HTTP/1.1\nHost: a.b\n\n", "GET / HTTP/1.1\r\n\r\n", "\x05\x01\x00",
		"CONNECT a.b:443 HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "CONNECT a.b:443 HTTP/1.1\r\nHost: a.b\r\nhost: c.d\r\n\r\n",
		"CONNECT A.b.:443 HTTP/1.1\r\nX-\x80: \xff\r\nHost:\ta.B \r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), maxHead)
		name, err := readRequest(r)
		if err != nil {
			if name != "" || domain.CodeOf(err) == "" && !errors.Is(err, errGone) {
				t.Fatalf("readRequest(%q) = %q, %v, want no name and a code", in, name, err)
			}
			return
		}
		standard := bufio.NewReaderSize(bytes.NewReader(in), maxHead)
		request, err := http.ReadRequest(standard)
		if err != nil {
			t.Fatalf("readRequest(%q) = %q, net/http refuses it: %v", in, name, err)
		}
		got, err := domain.ParseAuthority(request.RequestURI)
		if request.Method != "CONNECT" || request.Proto != "HTTP/1.1" || got != name || err != nil {
			t.Fatalf("readRequest(%q) = %q, net/http reads %s %s %s", in, name, request.Method, request.RequestURI, request.Proto)
		}
		if request.ContentLength != 0 || len(request.TransferEncoding) > 0 || request.Header.Get("Proxy-Authorization") != "" {
			t.Fatalf("readRequest(%q) took a body or a password", in)
		}
		if r.Buffered() != standard.Buffered() {
			t.Fatalf("readRequest(%q) leaves %d bytes, net/http %d", in, r.Buffered(), standard.Buffered())
		}
	})
}
