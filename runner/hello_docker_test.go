//go:build docker

package runner

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
)

// hello describes a ClientHello as the cases do.
type hello struct {
	SNI     []string `json:"sni"`
	ECH     string   `json:"ech"`
	Inner   string   `json:"inner"`
	ESNI    bool     `json:"esni_ext_0xffce"`
	Records int      `json:"records"`
	Cut     int      `json:"tcp_segments"`
	Inside  bool     `json:"split_inside_sni"`
	Size    int      `json:"size"`
	Stall   int      `json:"bytes_then_stall"`
	Plain   string   `json:"plaintext"`
	Host    string   `json:"host_header_inside"` // inside TLS, where nobody sees it
}

// bytes are what the client sends.
func (h hello) bytes(name string) []byte {
	if h.Plain != "" {
		return []byte(h.Plain)
	}
	if h.SNI == nil && h.Size+h.Stall > 0 {
		h.SNI = []string{name}
	}
	message, at := h.message()
	if pad := h.Size - len(message); pad > 0 {
		h.Size = 0
		message, at = h.padded(pad)
	}
	limits := []int{len(message)}
	if h.Records > 1 {
		limits = nil
		for i := 1; i < h.Records; i++ {
			limits = append(limits, i*len(message)/h.Records)
		}
		if h.Inside {
			limits[0] = at + 2 // two letters into the name
		}
		limits = append(limits, len(message))
	}
	var out []byte
	from := 0
	for _, to := range limits {
		for from < to {
			n := min(to-from, 1<<14)
			out = append(out, 22, 3, 1)
			out = binary.BigEndian.AppendUint16(out, uint16(n))
			out = append(out, message[from:from+n]...)
			from += n
		}
	}
	if h.Stall > 0 {
		return out[:h.Stall]
	}
	return out
}

// message is the handshake message (RFC 8446 section 4.1.2), and where in it the first name stands.
func (h hello) message() (message []byte, at int) { return h.padded(0) }

func (h hello) padded(pad int) (message []byte, at int) {
	var random [96]byte
	_, _ = rand.Read(random[:])
	body := append([]byte{3, 3}, random[:32]...)
	body = append(append(body, 32), random[32:64]...)
	body = append(body, 0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0)

	var ext []byte
	add := func(kind uint16, data []byte) {
		ext = binary.BigEndian.AppendUint16(ext, kind)
		ext = append(binary.BigEndian.AppendUint16(ext, uint16(len(data))), data...)
	}
	if len(h.SNI) > 0 {
		var list []byte
		for _, name := range h.SNI {
			list = append(binary.BigEndian.AppendUint16(append(list, 0), uint16(len(name))), name...)
		}
		add(0, append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...))
	}
	add(10, []byte{0, 2, 0, 29})
	add(13, []byte{0, 4, 4, 3, 8, 4})
	add(43, []byte{2, 3, 4})
	add(51, append([]byte{0, 36, 0, 29, 0, 32}, random[64:]...))
	if h.ECH != "" {
		// Outer, HKDF-SHA256, AES-128-GCM, a key and what would be the inner hello (RFC 9849).
		payload := append([]byte(h.Inner), bytes.Repeat([]byte{7}, 200)...)
		data := append([]byte{0, 0, 1, 0, 1, 42, 0, 32}, random[:32]...)
		add(0xfe0d, append(binary.BigEndian.AppendUint16(data, uint16(len(payload))), payload...))
	}
	if h.ESNI {
		add(0xffce, bytes.Repeat([]byte{7}, 300))
	}
	for pad > 0 {
		n := min(pad, 60_000)
		add(21, make([]byte, n))
		pad -= n
	}
	// More than fits an extension block's length makes no honest hello, and the size is what is tested.
	body = append(binary.BigEndian.AppendUint16(body, uint16(min(len(ext), 0xffff))), ext...)
	message = append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
	if len(h.SNI) > 0 {
		at = bytes.Index(message, []byte(h.SNI[0]))
	}
	return message, at
}
