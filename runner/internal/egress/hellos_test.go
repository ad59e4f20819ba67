package egress

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// hello builds a ClientHello by hand, so that each part of it can be wrong.
type hello struct {
	version    uint16
	random     []byte
	session    []byte
	suites     []byte
	methods    []byte
	extensions [][]byte
	noBlock    bool   // no extensions at all, not even their length
	extra      []byte // after them
}

// plainHello is one that Go's server takes.
func plainHello(names ...string) *hello {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return &hello{
		version: 0x0303, random: bytes.Repeat([]byte{7}, 32), session: bytes.Repeat([]byte{9}, 32),
		suites: []byte{0x13, 0x01, 0xc0, 0x2b}, methods: []byte{0},
		extensions: [][]byte{
			extension(0, serverNames(names...)),
			extension(43, []byte{4, 3, 4, 3, 3}),                       // supported_versions
			extension(10, []byte{0, 2, 0, 29}),                         // supported_groups: x25519
			extension(13, []byte{0, 4, 4, 3, 8, 4}),                    // signature_algorithms
			extension(51, append([]byte{0, 36, 0, 29, 0, 32}, key...)), // key_share
		},
	}
}

func (h *hello) with(extensions ...[]byte) *hello {
	h.extensions = append(h.extensions, extensions...)
	return h
}

// message is the handshake message with its head.
func (h *hello) message() []byte {
	b := binary.BigEndian.AppendUint16(nil, h.version)
	b = append(b, h.random...)
	b = append(append(b, byte(len(h.session))), h.session...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.suites))), h.suites...)
	b = append(append(b, byte(len(h.methods))), h.methods...)
	if !h.noBlock {
		all := bytes.Join(h.extensions, nil)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(all))), all...)
	}
	b = append(b, h.extra...)
	return append([]byte{messageHello, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// bytes is the message in one record.
func (h *hello) bytes() []byte { return records(h.message(), 1) }

func extension(kind uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// serverNames is the data of server_name.
func serverNames(names ...string) []byte {
	var list []byte
	for _, name := range names {
		list = append(binary.BigEndian.AppendUint16(append(list, 0), uint16(len(name))), name...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
}

// records cuts a message into n records of about one size.
func records(message []byte, n int) []byte {
	size := (len(message) + n - 1) / n
	var out []byte
	for len(message) > 0 {
		part := message[:min(size, len(message))]
		message = message[len(part):]
		out = append(binary.BigEndian.AppendUint16(append(out, recordHandshake, 3, 1), uint16(len(part))), part...)
	}
	return out
}

// greaseECH is what BoringSSL makes up (RFC 9849 section 6.2).
func greaseECH() []byte {
	enc, payload := make([]byte, 32), make([]byte, 144)
	key, _ := ecdh.X25519().GenerateKey(rand.Reader)
	copy(enc, key.PublicKey().Bytes())
	_, _ = rand.Read(payload)
	data := append([]byte{0, 0, 1, 0, 1, 0x42, 0, 32}, enc...)
	return extension(0xfe0d, append(append(data, 0, 144), payload...))
}

// realECH is a ClientHello that Go's client encrypts for the key of outer; nobody without the key sees inner.
func realECH(t testing.TB, outer, inner string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := key.PublicKey().Bytes()
	config := append([]byte{0x42, 0, 0x20, 0, byte(len(public))}, public...)
	config = append(config, 0, 4, 0, 1, 0, 1, 32, byte(len(outer)))
	config = append(append(config, outer...), 0, 0)
	list := append([]byte{0xfe, 0x0d, 0, byte(len(config))}, config...)
	list = append([]byte{0, byte(len(list))}, list...)
	return firstFlight(t, &tls.Config{ServerName: inner, MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: list})
}

// firstFlight is the record that Go's client begins with.
func firstFlight(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_ = tls.Client(theirs, config).Handshake()
		theirs.Close()
	}()
	_ = ours.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 8<<10)
	n, err := ours.Read(buf)
	if err != nil {
		t.Fatalf("the client's first flight: %v", err)
	}
	return buf[:n]
}
