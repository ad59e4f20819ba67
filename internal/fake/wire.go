package fake

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// write puts a step on the socket, in pieces and with its fault.
func (s *Server) write(w http.ResponseWriter, r *http.Request, f Fault, stream []byte, a Answer) {
	if f.Silent {
		s.hang(r)
	}
	if f.Silent || f.Drop {
		panic(http.ErrAbortHandler)
	}
	contentType, status := "text/event-stream; charset=utf-8", f.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status != http.StatusOK {
		contentType = "application/json"
	}
	if f.ContentType != "" {
		contentType = f.ContentType
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Request-Id", "req_fake")
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	head, tail, how := s.cut(stream, a.Break)
	s.pieces(w, head, a)
	switch how {
	case Abort:
		panic(http.ErrAbortHandler)
	case Hang:
		s.hang(r)
		panic(http.ErrAbortHandler)
	}
	s.pieces(w, tail, a)
}

// cut divides a stream at its fault.
func (s *Server) cut(stream []byte, b *Break) (head, tail []byte, how How) {
	if b == nil {
		return stream, nil, ""
	}
	at := b.At
	if b.Before != "" {
		if at = bytes.Index(stream, []byte(b.Before)); at < 0 {
			s.t.Errorf("the stream has no %q to break before:\n%.4000s", b.Before, stream)
			at = 0
		}
	}
	at = min(at, len(stream))
	switch b.How {
	case Insert:
		return stream[:at], append([]byte(b.Insert), stream[at:]...), b.How
	case Last:
		return stream[:at], []byte(b.Insert), b.How
	}
	return stream[:at], nil, b.How
}

func (s *Server) pieces(w http.ResponseWriter, stream []byte, a Answer) {
	flush := http.NewResponseController(w)
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(a.Writes) > 0 {
			n = min(max(a.Writes[i%len(a.Writes)], 1), n)
		} else if end := bytes.Index(stream, []byte("\n\n")); end >= 0 {
			n = end + 2
		}
		if a.Delay > 0 {
			time.Sleep(a.Delay)
		}
		if _, err := w.Write(stream[:n]); err != nil {
			return // the client left
		}
		_ = flush.Flush() // fails only with the connection, and the next write says so
		stream = stream[n:]
	}
	_ = flush.Flush()
}

// parts cuts text into pieces of the given sizes, and never in the middle of a character that is one.
func parts(text string, sizes []int) []string {
	if len(sizes) == 0 {
		sizes = []int{24}
	}
	var out []string
	for i := 0; len(text) > 0; i++ {
		n := min(max(sizes[i%len(sizes)], 1), len(text))
		for n < len(text) && text[n]&0xC0 == 0x80 {
			n++
		}
		out = append(out, text[:n])
		text = text[n:]
	}
	return out
}

// quote writes text as a JSON string and leaves every byte from 0x80 on as it is, so that a test can send
// what is not UTF-8.
func quote(text string) string {
	out := []byte{'"'}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < 0x20:
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}
