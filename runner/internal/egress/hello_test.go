package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestReadHello(t *testing.T) {
	const name = "example.com"
	good := plainHello(name)
	message := good.message()
	twice := func(b []byte) []byte { return append(slices.Clone(b), b...) }
	edit := func(change func(*hello)) []byte {
		h := plainHello(name)
		change(h)
		return h.bytes()
	}
	for label, tc := range map[string]struct {
		in   []byte
		code domain.Code
	}{
		"plain":                           {good.bytes(), ""},
		"upper case":                      {plainHello("EXAMPLE.com").bytes(), ""},
		"a record for each byte":          {records(message, len(message)), ""},
		"record version of TLS 1.2":       {append([]byte{22, 3, 3}, good.bytes()[3:]...), ""},
		"one extension with the name":     {edit(func(h *hello) { h.extensions = h.extensions[:1] }), ""},
		"session of nothing":              {edit(func(h *hello) { h.session = nil }), ""},
		"old compression beside none":     {edit(func(h *hello) { h.methods = []byte{1, 0} }), ""},
		"early data behind it":            {append(good.bytes(), 23, 3, 3, 0, 1, 1), ""},
		"64 KiB with its five records":    {plainHello(name).with(pad(maxHello - len(message) - 5*5)...).cut(), ""},
		"one byte more":                   {plainHello(name).with(pad(maxHello - len(message) - 5*5 + 1)...).cut(), codeHelloTooBig},
		"a length of 16 MiB":              {[]byte{22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff}, codeHelloTooBig},
		"heads of records over the limit": {records(plainHello(name).with(extension(99, make([]byte, 12<<10))).message(), 20_000), codeHelloTooBig},
		"another name":                    {plainHello("evil.test").bytes(), codeSNIMismatch},
		"a name below":                    {plainHello("www.example.com").bytes(), codeSNIMismatch},
		"a name above":                    {plainHello("com").bytes(), codeSNIMismatch},
		"final dot":                       {plainHello("example.com.").bytes(), codeSNIMismatch},
		"white space":                     {plainHello("example.com ").bytes(), codeSNIMismatch},
		"Kelvin sign for a k":             {plainHello("example.\u212aom").bytes(), codeSNIMismatch},
		"name of 64 KiB":                  {plainHello(strings.Repeat("a", 60<<10)).bytes(), codeNotTLS}, // in one record
		"two names":                       {plainHello(name, name).bytes(), codeSNIMultiple},
		"two extensions with names":       {helloWith(name, extension(0, serverNames("evil.test"))), codeSNIMultiple},
		"two extensions, the good second": {edit(func(h *hello) { h.extensions = slices.Insert(h.extensions, 0, extension(0, serverNames("evil.test"))) }), codeSNIMultiple},
		"no extensions":                   {edit(func(h *hello) { h.extensions = nil }), codeSNIMissing},
		"not even their length":           {edit(func(h *hello) { h.noBlock = true }), codeSNIMissing},
		"no name in the list":             {plainHello().bytes(), codeSNIMissing},
		"no list":                         {edit(func(h *hello) { h.extensions[0] = extension(0, nil) }), codeSNIMissing},
		"another type of name":            {edit(func(h *hello) { h.extensions[0] = extension(0, append([]byte{0, 12, 1, 0, 9}, "evil.test"...)) }), codeBadHello},
		"another type beside the name": {edit(func(h *hello) {
			h.extensions[0] = extension(0, append(append([]byte{0, 18}, serverNames(name)[2:]...), 1, 0, 1, 'x'))
		}), codeBadHello},
		"list longer than its data":       {edit(func(h *hello) { h.extensions[0][5]++ }), codeBadHello},
		"list shorter than its data":      {edit(func(h *hello) { h.extensions[0] = extension(0, append(serverNames(name), 0)) }), codeBadHello},
		"name longer than its list":       {edit(func(h *hello) { h.extensions[0][8]++ }), codeBadHello},
		"an extension twice":              {helloWith(name, extension(43, []byte{2, 3, 4})), codeBadHello},
		"extensions cut off":              {edit(func(h *hello) { h.with([]byte{0, 99, 0, 9, 1}) }), codeBadHello},
		"half a head of an extension":     {edit(func(h *hello) { h.with([]byte{0, 99, 0}) }), codeBadHello},
		"bytes behind the extensions":     {edit(func(h *hello) { h.extra = []byte{0} }), codeBadHello},
		"a second block of extensions":    {edit(func(h *hello) { h.extra = append([]byte{0, 13}, extension(0, serverNames("e"))...) }), codeBadHello},
		"TLS 1.1":                         {edit(func(h *hello) { h.version = 0x0302 }), codeBadHello},
		"TLS 1.3 in the old place":        {edit(func(h *hello) { h.version = 0x0304 }), codeBadHello},
		"DTLS":                            {edit(func(h *hello) { h.version = 0xfefd }), codeBadHello},
		"session of 33 bytes":             {edit(func(h *hello) { h.session = make([]byte, 33) }), codeBadHello},
		"no ciphers":                      {edit(func(h *hello) { h.suites = nil }), codeBadHello},
		"half a cipher":                   {edit(func(h *hello) { h.suites = []byte{0x13} }), codeBadHello},
		"compression alone":               {edit(func(h *hello) { h.methods = []byte{1} }), codeBadHello},
		"no compression methods":          {edit(func(h *hello) { h.methods = nil }), codeBadHello},
		"two in a record":                 {records(twice(message), 1), codeBadHello},
		"the second begins in the record": {records(append(slices.Clone(message), 1), 1), codeBadHello},
		"another message":                 {records(append([]byte{2}, message[1:]...), 1), codeNotTLS},
		"HelloRequest in front":           {append(records([]byte{0, 0, 0, 0}, 1), good.bytes()...), codeNotTLS},
		"an alert in front":               {append([]byte{21, 3, 3, 0, 2, 1, 0}, good.bytes()...), codeNotTLS},
		"an alert inside":                 {append(append(records(message[:50], 1), 21, 3, 3, 0, 2, 1, 0), records(message[50:], 1)...), codeNotTLS},
		"a change of ciphers in front":    {append([]byte(emptySpec), good.bytes()...), codeNotTLS},
		"an empty record":                 {append([]byte{22, 3, 1, 0, 0}, good.bytes()...), codeNotTLS},
		"a record over its limit":         {append([]byte{22, 3, 1, 0x40, 0x01}, make([]byte, 16<<10+1)...), codeNotTLS},
		"SSL 3":                           {append([]byte{22, 3, 0}, good.bytes()[3:]...), codeNotTLS},
		"record version of the future":    {append([]byte{22, 3, 4}, good.bytes()[3:]...), codeNotTLS},
		"SSL 2":                           {[]byte{0x80, 0x2e, 0x01, 0x03, 0x01, 0, 0x15, 0, 0, 0, 0x10}, codeNotTLS},
		"SSH":                             {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), codeNotTLS},
		"HTTP/2 in clear":                 {[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), codeNotTLS},
		"cut off":                         {good.bytes()[:100], codeNotTLS},
		"real ECH":                        {realECH(t, name, "evil.test"), codeECH},
		"real ECH for the same name":      {realECH(t, name, name), codeECH},
		"real ECH under another name":     {realECH(t, "public.test", name), codeSNIMismatch},
		"made-up ECH":                     {helloWith(name, greaseECH()), codeECH},
		"ECH of the inner kind":           {helloWith(name, extension(0xfe0d, []byte{1})), codeECH},
		"empty ECH":                       {helloWith(name, extension(0xfe0d, nil)), codeECH},
		"outer extensions":                {helloWith(name, extension(0xfd00, []byte{2, 0, 10})), codeECH},
		"ECH of a draft":                  {helloWith(name, extension(0xfe09, make([]byte, 100))), codeECH},
		"ESNI":                            {helloWith(name, extension(0xffce, make([]byte, 100))), codeECH},
	} {
		t.Run(label, func(t *testing.T) {
			in := bytes.NewReader(tc.in)
			got, err := readHello(iotest.OneByteReader(in), name)
			if domain.CodeOf(err) != tc.code || err == nil && tc.code != "" {
				t.Fatalf("readHello(%.60x…, %d bytes) = %v (%s), want %q", tc.in, len(tc.in), err, domain.CodeOf(err), tc.code)
			}
			// What goes on is what came, and nothing behind it was taken.
			if rest, _ := io.ReadAll(in); err == nil && !bytes.Equal(append(got, rest...), tc.in) {
				t.Errorf("readHello gives %d bytes and leaves %d, want the %d that came", len(got), len(rest), len(tc.in))
			}
		})
	}
	if _, err := readHello(strings.NewReader(""), name); !errors.Is(err, errGone) {
		t.Errorf("readHello of nothing: %v, want errGone", err)
	}
}

func helloWith(name string, more ...[]byte) []byte { return plainHello(name).with(more...).bytes() }

// pad is extensions of n bytes in all, cut so that each fits.
func pad(n int) (out [][]byte) {
	for kind := uint16(0x4000); n > 0; kind++ {
		part := min(n, 8<<10)
		if n-part > 0 && n-part < 8 {
			part -= 8
		}
		out = append(out, extension(kind, make([]byte, max(0, part-4))))
		n -= part
	}
	return out
}

// cut is the message in five records, because more than 16 KiB do not fit into one.
func (h *hello) cut() []byte { return records(h.message(), 5) }

// What a real client sends passes for its name and for no other, in whatever pieces it comes.
func TestReadHelloOfRealClients(t *testing.T) {
	for label, config := range map[string]*tls.Config{
		"TLS 1.2":      {MaxVersion: tls.VersionTLS12},
		"TLS 1.3":      {MinVersion: tls.VersionTLS13},
		"post-quantum": {CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}},
		"HTTP/2":       {NextProtos: []string{"h2", "http/1.1"}},
		"resumption":   {ClientSessionCache: tls.NewLRUClientSessionCache(1)},
	} {
		t.Run(label, func(t *testing.T) {
			config.ServerName = "www.example.com"
			first := firstFlight(t, config)
			for pieces := range 6 {
				in := records(first[5:], pieces+1)
				if got, err := readHello(bytes.NewReader(in), "www.example.com"); err != nil || !bytes.Equal(got, in) {
					t.Errorf("in %d records: %v, want it to pass as it is", pieces+1, err)
				}
				if _, err := readHello(bytes.NewReader(in), "example.com"); domain.CodeOf(err) != codeSNIMismatch {
					t.Errorf("in %d records for another name: %v, want %s", pieces+1, err, codeSNIMismatch)
				}
			}
		})
	}
}

// serverSees is what Go's TLS server makes of the same bytes: the name that it would choose a
// certificate by. It can read two names only if we can.
func serverSees(t *testing.T, raw []byte) (info *tls.ClientHelloInfo) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		server := tls.Server(theirs, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			info = i
			return nil, errors.New("seen enough")
		}})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.HandshakeContext(ctx)
		theirs.Close()
	}()
	go func() { _, _ = io.Copy(io.Discard, ours) }()
	_, _ = ours.Write(raw)
	ours.Close()
	<-done
	return info
}

// Whatever is accepted for a name, a TLS server reads as a ClientHello for that name, and nothing in it
// could hide another.
func FuzzClientHello(f *testing.F) {
	const name = "example.com"
	add := func(b []byte) { f.Add(b, []byte(nil), uint16(0), []byte(nil), uint8(0)) }
	add(plainHello(name).bytes())
	add(records(plainHello(name).message(), 5))
	add(plainHello(name, "evil.test").bytes())
	add(plainHello("evil.test").bytes())
	add(helloWith(name, greaseECH()))
	add(helloWith(name, extension(0xffce, []byte{1})))
	add(helloWith(name, extension(0, serverNames("evil.test"))))
	add(realECH(f, name, "evil.test"))
	add(firstFlight(f, &tls.Config{ServerName: name}))
	add(firstFlight(f, &tls.Config{ServerName: name, MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}))
	// Without bytes of its own, a ClientHello is built with these data in server_name, one more extension, and in pieces.
	f.Add([]byte(nil), serverNames(name), uint16(0xfe0d), greaseECH()[4:], uint8(1))
	f.Add([]byte(nil), serverNames(name, "evil.test"), uint16(99), []byte(nil), uint8(7))
	f.Add([]byte(nil), append(serverNames(name), 0), uint16(0), serverNames("evil.test"), uint8(200))
	f.Add([]byte(nil), []byte{0, 3, 1, 0, 0}, uint16(16), []byte{0, 3, 2, 'h', '2'}, uint8(2))
	f.Fuzz(func(t *testing.T, in, names []byte, kind uint16, data []byte, pieces uint8) {
		if len(in) == 0 {
			if len(names)+len(data) > 30<<10 {
				return
			}
			h := plainHello(name).with(extension(kind, data))
			h.extensions[0] = extension(0, names)
			in = records(h.message(), max(int(pieces), 3))
		}
		raw, err := readHello(bytes.NewReader(in), name)
		if err != nil {
			if domain.CodeOf(err) == "" && !errors.Is(err, errGone) {
				t.Fatalf("readHello(%x): %v, want a code", in, err)
			}
			return
		}
		if !bytes.HasPrefix(in, raw) || len(raw) > maxHello {
			t.Fatalf("readHello(%x) lets %x through, want a beginning of it", in, raw)
		}
		info := serverSees(t, raw)
		if info == nil {
			return // a server refuses it: nobody is reached
		}
		if !strings.EqualFold(info.ServerName, name) {
			t.Fatalf("readHello(%x) passed for %s, a server reads %q", in, name, info.ServerName)
		}
		for _, kind := range info.Extensions {
			if slices.Contains(hiding, kind) {
				t.Fatalf("readHello(%x) passed with extension %#x", in, kind)
			}
		}
	})
}
