package tunnel

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// A frame of yamux is a header of twelve bytes and, if it is one of data, a body of as many bytes as
// the header's length says:
//
//	version (1)  type (1)  flags (2)  stream (4)  length (4)
const headerBytes = 12

// Types.
const (
	typeData byte = iota
	typeUpdate
	typePing
	typeGoAway
)

// Flags.
const (
	flagSYN uint16 = 1 << iota
	flagACK
	flagFIN
	flagRST
)

// header is one header, read.
type header struct {
	version byte
	kind    byte
	flags   uint16
	stream  uint32
	length  uint32
}

func parse(raw []byte) header {
	return header{
		version: raw[0], kind: raw[1], flags: binary.BigEndian.Uint16(raw[2:]),
		stream: binary.BigEndian.Uint32(raw[4:]), length: binary.BigEndian.Uint32(raw[8:]),
	}
}

func (h header) append(to []byte) []byte {
	to = append(to, h.version, h.kind)
	to = binary.BigEndian.AppendUint16(to, h.flags)
	to = binary.BigEndian.AppendUint32(to, h.stream)
	return binary.BigEndian.AppendUint32(to, h.length)
}

func (h header) String() string {
	return fmt.Sprintf("version %d, type %d, flags %#x, stream %d, length %d", h.version, h.kind, h.flags, h.stream, h.length)
}

// frames writes whole frames only. yamux writes a header and its body one after the other, and what
// stands between two writes could be another frame or the end of the program.
type frames struct {
	head []byte // a header that waits for its body
	both []byte // header and body, used again

	mu     sync.Mutex
	w      io.Writer
	closed bool
}

// Write is called by one goroutine of yamux, with a header or with the body of the header before.
func (f *frames) Write(p []byte) (int, error) {
	if len(f.head) > 0 {
		f.both = append(append(f.both[:0], f.head...), p...)
		f.head = f.head[:0]
		return len(p), f.whole(f.both)
	}
	if h := parse(p); h.kind == typeData && h.length > 0 {
		f.head = append(f.head, p...)
		return len(p), nil
	}
	return len(p), f.whole(p)
}

// whole writes frames that are complete.
func (f *frames) whole(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return io.ErrClosedPipe
	}
	_, err := f.w.Write(p)
	return err
}

// stop waits for the frame that is being written and lets no other follow.
func (f *frames) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}
