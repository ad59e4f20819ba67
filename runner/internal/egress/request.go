package egress

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// maxHead is the most bytes of a request with its headers. Chromium's have 250.
const maxHead = 8 << 10

// errGone says that the browser closed a connection that it had not used: nothing was decided.
var errGone = errors.New("closed before it was used")

// readRequest reads one CONNECT request (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3), strictly:
// what a lenient parser mends, two parsers mend differently. What comes after the empty line stays in r.
// It must be able to hold maxHead bytes.
func readRequest(r *bufio.Reader) (domain.Name, error) {
	// SOCKS and TLS have no line to wait for.
	switch first, err := r.Peek(1); {
	case errors.Is(err, io.EOF):
		return "", errGone
	case err != nil:
		return "", readFailure(err)
	case !isToken(string(first)):
		return "", refuse(codeBadRequest, "the first byte %#x begins no request of HTTP", first[0])
	}
	h := head{r: r, left: maxHead}
	line, err := h.line()
	if err != nil {
		return "", err
	}
	name, err := requestLine(line)
	if err != nil {
		return "", err
	}
	host, err := headers(&h)
	if err != nil {
		return "", err
	}
	if host != nil && !sameHost(*host, name) {
		return "", refuse(codeHostMismatch, "the target is %s and Host is %.80q", name, *host)
	}
	return name, nil
}

// head reads lines until its bytes are used up.
type head struct {
	r    *bufio.Reader
	left int
}

// line returns the next line with its end, whatever that is.
func (h *head) line() (string, error) {
	b, err := h.r.ReadSlice('\n')
	if h.left -= len(b); h.left < 0 || errors.Is(err, bufio.ErrBufferFull) {
		return "", refuse(codeBadRequest, "the request has more than %d bytes", maxHead)
	}
	if err != nil {
		return "", readFailure(err)
	}
	return string(b), nil
}

// readFailure says why a request that had begun did not end.
func readFailure(err error) error {
	if timedOut(err) {
		return refuse(codeIdle, "no whole request came")
	}
	return refuse(codeBadRequest, "the request was cut off")
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// requestLine reads "CONNECT name:443 HTTP/1.1" and the line end. The target is judged before the
// version, so that a line break inside it is told as what it is.
func requestLine(line string) (domain.Name, error) {
	line, clean := strings.CutSuffix(line, "\r\n")
	method, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	if !ok || !isToken(method) {
		return "", refuse(codeBadRequest, "the line %.80q is no request", line)
	}
	at := strings.LastIndexByte(rest, ' ')
	target, version := rest[:max(at, 0)], rest[at+1:]
	versioned := at >= 0 && strings.HasPrefix(version, "HTTP/")
	if !versioned {
		target = rest
	}
	if method != "CONNECT" {
		if !clean || !versioned || version != "HTTP/1.1" {
			return "", refuse(codeBadRequest, "the line %.80q is no request of HTTP/1.1", line)
		}
		return "", refuse(codeMethod, "the method %.20q is not CONNECT: only https: goes out", method)
	}
	if strings.Trim(target, " ") != target || target == "" {
		return "", refuse(codeBadRequest, "between the parts of a request line is exactly one space")
	}
	name, err := domain.ParseAuthority(target)
	switch {
	case err != nil:
		return "", err
	case !versioned || version != "HTTP/1.1":
		return "", refuse(codeBadRequest, "the version is not HTTP/1.1")
	case !clean:
		return "", refuse(codeBadRequest, "a line must end in CR LF")
	}
	return name, nil
}

// headers reads to the empty line and returns the value of Host. Fields that we know to be harmless
// or do not know at all are read over: nothing of the head goes on to anybody.
func headers(h *head) (host *string, err error) {
	for {
		line, err := h.line()
		if err != nil {
			return nil, err
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok {
			return nil, refuse(codeBadRequest, "a line must end in CR LF")
		}
		if line == "" {
			return host, nil
		}
		field, value, ok := strings.Cut(line, ":")
		// A line that begins with white space goes on with the one before (obsolete folding), and
		// has no field name; nor has one with white space before the colon.
		if !ok || !isToken(field) || strings.ContainsFunc(value, control) {
			return nil, refuse(codeBadRequest, "the line %.80q is no header", line)
		}
		switch strings.ToLower(field) {
		case "host":
			if host != nil {
				return nil, refuse(codeBadRequest, "there are two Host headers")
			}
			value = strings.Trim(value, " \t")
			host = &value
		case "content-length", "transfer-encoding", "te", "trailer", "expect", "upgrade":
			return nil, refuse(codeBadRequest, "CONNECT has no body and no %s", strings.ToLower(field))
		case "proxy-authorization", "authorization":
			return nil, refuse(codeBadRequest, "who asks is settled by the stream, not by a header")
		}
	}
}

// sameHost compares by the one reading of names. The port may be left away.
func sameHost(host string, name domain.Name) bool {
	if !strings.Contains(host, ":") {
		host += ":443"
	}
	got, err := domain.ParseAuthority(host)
	return err == nil && got == name
}

// isToken is RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
