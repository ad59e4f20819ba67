package egress

import (
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// maxHello is the most bytes of a ClientHello, with the heads of its records. Chromium's have 2000.
const maxHello = 64 << 10

// Types of records and messages (RFC 8446 sections 5.1 and 4).
const (
	recordCipherSpec = 20
	recordAlert      = 21
	recordHandshake  = 22
	recordHeartbeat  = 24 // the last
	messageRequest   = 0
	messageHello     = 1
	messageServer    = 2
	maxRecord        = 16 << 10 // of plaintext
)

const (
	extServerName = 0 // the extension
	nameIsHost    = 0 // the one type of names in it
)

// hiding are the extensions that can carry another server name where nobody on the way sees it:
// Encrypted ClientHello (RFC 9849: encrypted_client_hello, ech_outer_extensions), its drafts, and
// ESNI before it.
//
// Chromium also sends a made-up one (GREASE, section 6.2 there) when it has no key for a site. It is
// refused like the real one, because it is built so that nobody but the holder of the key can tell the
// two apart: BoringSSL takes a fresh X25519 key, ids of real ciphers and one of the lengths that
// real payloads have. A rule that lets one through lets the other through, and with it any name that
// shares a front with the allowed one. The executor starts Chromium with ECH off, so that none comes.
var hiding = []uint16{
	0xfe0d, 0xfd00,
	0xfe08, 0xfe09, 0xfe0a, 0xfe0b, 0xfe0c, 0xff02, 0xff03, 0xda09,
	0xffce,
}

// readHello reads records until they hold a whole ClientHello, and returns them as they came. It
// takes no byte that comes after.
func readHello(r io.Reader, name domain.Name) (raw []byte, err error) {
	var message []byte
	for {
		// One byte alone first: what is no TLS is told before it stops in the middle of a "record".
		var at int
		if raw, at, err = take(r, raw, 1); err != nil {
			return nil, err
		}
		if raw[at] != recordHandshake {
			return nil, refuse(codeNotTLS, "the bytes are no ClientHello of TLS (a record of type %d)", raw[at])
		}
		if raw, at, err = take(r, raw, 4); err != nil {
			return nil, err
		}
		length := int(binary.BigEndian.Uint16(raw[at+2:]))
		// 3.1 to 3.3: what TLS 1.0 to 1.3 write here. An empty record of a message is forbidden, and a way to never end.
		if raw[at] != 3 || raw[at+1] < 1 || raw[at+1] > 3 || length == 0 || length > maxRecord {
			return nil, refuse(codeNotTLS, "the bytes are no record of TLS (%x)", raw[at:at+4])
		}
		if raw, at, err = take(r, raw, length); err != nil {
			return nil, err
		}
		message = append(message, raw[at:]...)
		if message[0] != messageHello {
			return nil, refuse(codeNotTLS, "the handshake begins with message %d, not with a ClientHello", message[0])
		}
		if len(message) < 4 {
			continue
		}
		switch total := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3]); {
		case total > maxHello:
			return nil, refuse(codeHelloTooBig, "the ClientHello has %d bytes, the most is %d", total, maxHello)
		case len(message) > total:
			// A second message in the same record could be a second ClientHello.
			return nil, refuse(codeBadHello, "the record of the ClientHello holds more than it")
		case len(message) == total:
			return raw, checkHello(message[4:], name)
		}
	}
}

// take appends n bytes of r to raw and says where they begin.
func take(r io.Reader, raw []byte, n int) (all []byte, at int, err error) {
	at = len(raw)
	if at+n > maxHello {
		return nil, 0, refuse(codeHelloTooBig, "the ClientHello and its records have more than %d bytes", maxHello)
	}
	raw = slices.Grow(raw, n)[:at+n]
	if _, err := io.ReadFull(r, raw[at:]); err != nil {
		switch {
		case timedOut(err):
			return nil, 0, refuse(codeHelloTimeout, "the ClientHello did not come in time")
		case at == 0:
			return nil, 0, errGone
		}
		return nil, 0, refuse(codeNotTLS, "the ClientHello was cut off")
	}
	return raw, at, nil
}

// checkHello reads the body of a ClientHello (RFC 8446 section 4.1.2) to its last byte and compares the
// name in it.
func checkHello(body []byte, name domain.Name) error {
	b := reader{rest: body}
	version := b.uint16()
	b.bytes(32)
	session := b.block(1)
	suites := b.block(2)
	compression := b.block(1)
	if b.bad || version != 0x0303 || len(session) > 32 || len(suites) == 0 || len(suites)%2 != 0 || !slices.Contains(compression, 0) {
		return refuse(codeBadHello, "the ClientHello is not one of TLS 1.2 or 1.3")
	}
	if len(b.rest) == 0 {
		return refuse(codeSNIMissing, "the ClientHello names no host")
	}
	extensions := reader{rest: b.block(2)}
	if b.bad || len(b.rest) > 0 {
		return refuse(codeBadHello, "the extensions of the ClientHello do not end where it ends")
	}
	var names []byte
	seen := map[uint16]bool{}
	hidden := false
	for len(extensions.rest) > 0 {
		kind := extensions.uint16()
		data := extensions.block(2)
		switch {
		case extensions.bad:
			return refuse(codeBadHello, "an extension of the ClientHello is cut off")
		case seen[kind] && kind == extServerName:
			return refuse(codeSNIMultiple, "the ClientHello names a host twice")
		case seen[kind]:
			return refuse(codeBadHello, "the ClientHello has extension %d twice", kind)
		}
		seen[kind] = true
		hidden = hidden || slices.Contains(hiding, kind)
		if kind == extServerName {
			names = data
		}
	}
	if !seen[extServerName] {
		return refuse(codeSNIMissing, "the ClientHello names no host")
	}
	if err := checkNames(names, name); err != nil {
		return err
	}
	if hidden {
		return refuse(codeECH, "the ClientHello may hide another name (ECH); its real name cannot be checked")
	}
	return nil
}

// checkNames reads server_name (RFC 6066 section 3).
func checkNames(data []byte, name domain.Name) error {
	if len(data) == 0 {
		return refuse(codeSNIMissing, "the ClientHello names no host")
	}
	b := reader{rest: data}
	list := reader{rest: b.block(2)}
	if b.bad || len(b.rest) > 0 {
		return refuse(codeBadHello, "the list of names in the ClientHello has a wrong length")
	}
	var hosts []string
	for len(list.rest) > 0 {
		kind := list.bytes(1)
		host := list.block(2)
		if list.bad || kind[0] != nameIsHost {
			return refuse(codeBadHello, "the list of names in the ClientHello cannot be read")
		}
		hosts = append(hosts, string(host))
	}
	switch {
	case len(hosts) > 1:
		return refuse(codeSNIMultiple, "the ClientHello names %d hosts", len(hosts))
	case len(hosts) == 0 || hosts[0] == "":
		return refuse(codeSNIMissing, "the ClientHello names no host")
	}
	// RFC 6066 has no final dot; servers differ in what they make of one.
	if got, err := domain.Parse(hosts[0]); err != nil || got != name || strings.HasSuffix(hosts[0], ".") {
		return refuse(codeSNIMismatch, "the ClientHello is for %.80q, the connection for %s", hosts[0], name)
	}
	return nil
}

// reader takes parts from the front. Once something is missing it is bad and gives nothing more.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || len(r.rest) < n {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// block takes a length of one or two bytes, and as many bytes.
func (r *reader) block(width int) []byte {
	n := 0
	for _, b := range r.bytes(width) {
		n = n<<8 | int(b)
	}
	return r.bytes(n)
}
