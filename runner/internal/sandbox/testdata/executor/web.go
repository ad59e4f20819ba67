package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// header is a frame's first twelve bytes, as a guest that is not ours writes them.
func header(kind byte, flags uint16, stream, length uint32) []byte {
	out := []byte{0, kind}
	out = binary.BigEndian.AppendUint16(out, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return binary.BigEndian.AppendUint32(out, length)
}

func frame(stream uint32, body []byte) []byte {
	return append(header(0, 0, stream, uint32(len(body))), body...)
}

// What hostile frames are made of: open, confirm, end.
func opened(stream uint32) []byte { return header(1, 1, stream, 0) }
func ended(stream uint32) []byte  { return header(1, 4, stream, 0) }

var confirmed = header(1, 2, 2, 0)

// web is a web executor, good or hostile.
func web(in *bufio.Reader, call, do, arg string) {
	if act := raw(call)[do]; act != nil {
		// Frames come only after the host's first, or none of them could be right.
		if _, err := io.ReadFull(in, make([]byte, 12)); err != nil {
			os.Exit(8)
		}
		if do != "deaf" {
			go io.Copy(io.Discard, in)
		}
		act(os.Stdout)
		return
	}
	switch do {
	case "noise":
		os.Stdout.WriteString("[1:1:0101/000000.000000:ERROR:gpu_init.cc(523)] Passthrough is not supported\n")
		time.Sleep(time.Hour)
	case "unframed":
		os.Stdout.Write(say(call, "x"))
		return
	case "dies":
		os.Exit(3)
	case "silent":
		time.Sleep(time.Hour)
	case "raw-down", "raw-up": // the baseline of the benchmarks: no tunnel
		n, _ := strconv.ParseInt(arg, 10, 64)
		if do == "raw-down" {
			_, _ = io.CopyN(io.Discard, in, n)
		} else {
			_, _ = io.CopyN(os.Stdout, endless{}, n)
		}
		os.Stdout.Write([]byte{'.'})
		return
	}
	guest, err := tunnel.Open(context.Background(), in, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no tunnel:", err)
		os.Exit(7)
	}
	answer := func(value any) {
		if _, err := guest.Answer().Write(say(call, value)); err == nil {
			err = guest.Answer().Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "not taken:", err)
			os.Exit(6)
		}
	}
	switch do {
	case "echo":
		answer(arg)
	case "probe":
		answer(probe())
	case "fetch": // one stream: a word out, all that comes back
		answer(fetch(guest, arg))
	case "hold": // streams that say something and then nothing, and no answer
		n, _ := strconv.Atoi(arg)
		for range n {
			if conn, err := guest.Dial(context.Background()); err == nil {
				fmt.Fprint(conn, "held")
			}
		}
		time.Sleep(time.Hour)
	case "answer-and-hold": // and an answer, with streams open in the middle of sending
		n, _ := strconv.Atoi(arg)
		for range n {
			conn, err := guest.Dial(context.Background())
			if err != nil {
				break
			}
			go func() {
				for block := make([]byte, 32<<10); err == nil; {
					_, err = conn.Write(block)
				}
			}()
		}
		time.Sleep(50 * time.Millisecond)
		answer("held")
	case "linger":
		answer("x")
		time.Sleep(time.Hour)
	case "memory":
		act(call, do, arg)
	case "stderr":
		act(call, do, arg)
	case "reply-twice":
		_, _ = guest.Answer().Write(append(say(call, "first"), say(call, "second")...))
		_ = guest.Answer().Close()
	case "no-line":
		_ = guest.Answer().Close()
		time.Sleep(time.Hour)
	case "never":
		_, _ = guest.Answer().Write([]byte(`{"call":`))
		time.Sleep(time.Hour)
	case "huge":
		_, _ = guest.Answer().Write(append(bytes.Repeat([]byte("x"), 2<<20), '\n'))
		time.Sleep(time.Hour)
	case "wrong-call":
		call = "another"
		answer("x")
	case "bench":
		bench(guest, arg, answer)
	default:
		fmt.Fprintln(os.Stderr, "unknown", do)
		os.Exit(9)
	}
}

// raw are guests that write frames of their own.
func raw(call string) map[string]func(io.Writer) {
	write := func(parts ...[]byte) func(io.Writer) {
		return func(w io.Writer) {
			_, _ = w.Write(bytes.Join(parts, nil))
			time.Sleep(time.Hour)
		}
	}
	line := frame(2, say(call, "x"))
	return map[string]func(io.Writer){
		"length":       write(confirmed, opened(1), header(0, 0, 1, 0xffffffff)),
		"second-frame": write(confirmed, line, ended(2), []byte("and a word of somebody else's\n")),
		"answer-twice": write(confirmed, line, ended(2), opened(2), line, ended(2)),
		"ping":         write(confirmed, header(2, 1, 0, 1), line, ended(2)),
		"half":         func(w io.Writer) { _, _ = w.Write(bytes.Join([][]byte{confirmed, line[:20]}, nil)) },
		"half-after":   func(w io.Writer) { _, _ = w.Write(bytes.Join([][]byte{confirmed, line, ended(2), opened(1)[:7]}, nil)) },
		"deaf":         write(confirmed, opened(1), opened(3)), // and reads nothing of what it gets
		"flood": func(w io.Writer) {
			out := bufio.NewWriter(w)
			_, _ = out.Write(confirmed)
			for id := uint32(1); id < 20_000; id += 2 {
				_, _ = out.Write(opened(id))
			}
			_, _ = out.Write(append(line, ended(2)...))
			_ = out.Flush()
			time.Sleep(100 * time.Millisecond)
		},
		"pings": func(w io.Writer) {
			for block := bytes.Repeat(header(2, 1, 0, 1), 1000); ; {
				if _, err := w.Write(block); err != nil {
					select {}
				}
			}
		},
	}
}

func fetch(guest *tunnel.Guest, word string) string {
	conn, err := guest.Dial(context.Background())
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, word+"\n"); err != nil {
		return err.Error()
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(got)
}

// bench moves arg's bytes, as in "down 1000000", and answers with nanoseconds.
func bench(guest *tunnel.Guest, arg string, answer func(any)) {
	what, count, _ := strings.Cut(arg, " ")
	n, _ := strconv.ParseInt(count, 10, 64)
	begin := time.Now()
	var err error
	switch what {
	case "down", "up":
		conn, dialErr := guest.Dial(context.Background())
		if dialErr != nil {
			answer(dialErr.Error())
			return
		}
		fmt.Fprintln(conn, arg)
		if what == "down" {
			_, err = io.CopyN(io.Discard, conn, n)
		} else {
			_, err = io.CopyN(conn, endless{}, n)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
		}
	case "requests":
		for range n {
			if got := fetch(guest, "request"); got != "response" {
				err = fmt.Errorf("got %q", got)
			}
		}
	}
	if err != nil {
		answer(err.Error())
		return
	}
	answer(time.Since(begin).Nanoseconds())
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return min(len(p), 32<<10), nil }
