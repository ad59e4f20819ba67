// Command hostile is a web executor that a page took over: it verifies nothing, and plays byte for
// byte what its task says on the streams of its tunnel.
//
// Its script is JSON in the text of the first action of its input: steps that are done in order, each
// on a stream that is named by a number.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// step is one thing to do. Exactly one field besides On is set.
type step struct {
	On int `json:"on"`
	// Send are bytes in base64; Cut sends them in that many pieces, each in a write of its own.
	Send string `json:"send,omitzero"`
	Cut  int    `json:"cut,omitzero"`
	// Head reads to the end of a response's head, Rest to the end of the stream or for that many
	// milliseconds. What was read is reported.
	Head bool `json:"head,omitzero"`
	Rest int  `json:"rest,omitzero"`
	// Pump sends that many bytes of nothing much, or as many as get through.
	Pump  int64 `json:"pump,omitzero"`
	Close bool  `json:"close,omitzero"`
	Wait  int   `json:"wait,omitzero"` // milliseconds
	// Open opens that many streams and leaves them open; how many were opened is reported.
	Open int `json:"open,omitzero"`
	// Env, Net and Token report the variables' names, the interfaces, and the token of this task.
	Env   bool `json:"env,omitzero"`
	Net   bool `json:"net,omitzero"`
	Token bool `json:"token,omitzero"`
	// Raw writes bytes to stdout beside the tunnel.
	Raw string `json:"raw,omitzero"`
}

func main() {
	out := os.Stdout
	os.Stdout = os.Stderr
	in := bufio.NewReader(os.Stdin)
	os.Stderr.WriteString(run.ReadyLine + "\n")
	line, err := in.ReadBytes('\n')
	var envelope run.Envelope
	var task run.Task
	var input run.Browse
	check(err, strict.Decode(line, &envelope))
	check(strict.Decode(envelope.Task, &task))
	check(strict.Decode(task.Input, &input))
	if len(input.Actions) == 0 {
		check(fmt.Errorf("no script"))
	}
	var script []step
	check(strict.Decode([]byte(input.Actions[0].Text), &script))
	// Opened when it is first needed, so that a script can speak before.
	open := sync.OnceValue(func() *tunnel.Guest {
		guest, err := tunnel.Open(context.Background(), in, out)
		check(err)
		return guest
	})
	p := player{guest: open, out: out, token: envelope.Token, streams: map[int]net.Conn{}}
	reports := []string{}
	for _, s := range script {
		if said, ok := p.play(s); ok {
			reports = append(reports, said)
		}
	}
	value, err := strict.Encode(reports)
	check(err)
	answer, err := strict.Encode(run.Output{Call: task.Call, Nonce: envelope.Nonce, Status: run.OutputOK, Value: value})
	check(err)
	w := open().Answer()
	_, err = w.Write(append(answer, '\n'))
	check(err, w.Close())
	time.Sleep(200 * time.Millisecond) // the answer is on its way
}

func check(errs ...error) {
	for _, err := range errs {
		if err != nil {
			fmt.Fprintln(os.Stderr, "hostile:", err)
			os.Exit(9)
		}
	}
}

type player struct {
	guest   func() *tunnel.Guest
	out     io.Writer
	token   string
	streams map[int]net.Conn
}

func (p *player) stream(n int) (net.Conn, error) {
	if c := p.streams[n]; c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := p.guest().Dial(ctx)
	if err == nil {
		p.streams[n] = c
	}
	return c, err
}

// play does one step. What it reports is what was read, or an error.
func (p *player) play(s step) (report string, ok bool) {
	switch {
	case s.Env:
		return strings.Join(os.Environ(), "\n"), true
	case s.Net:
		data, err := os.ReadFile("/proc/net/dev")
		return words(data, err), true
	case s.Token:
		return p.token, true
	case s.Wait > 0:
		time.Sleep(time.Duration(s.Wait) * time.Millisecond)
		return "", false
	case s.Raw != "":
		_, err := p.out.Write(decode(s.Raw))
		return words(nil, err), err != nil
	case s.Open > 0:
		return p.open(s.Open), true
	}
	c, err := p.stream(s.On)
	if err != nil {
		return words(nil, err), true
	}
	switch {
	case s.Send != "":
		data := decode(s.Send)
		for size := (len(data) + max(s.Cut, 1) - 1) / max(s.Cut, 1); len(data) > 0 && err == nil; {
			n := min(size, len(data))
			_, err = c.Write(data[:n])
			data = data[n:]
		}
		return words(nil, err), err != nil
	case s.Pump > 0:
		var sent int64
		for block := make([]byte, 32<<10); sent < s.Pump && err == nil; {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			var n int
			n, err = c.Write(block[:min(int64(len(block)), s.Pump-sent)])
			sent += int64(n)
		}
		return fmt.Sprint(sent), true
	case s.Head:
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		var head []byte
		for b := make([]byte, 1); err == nil && !strings.HasSuffix(string(head), "\r\n\r\n"); {
			if _, err = c.Read(b); err == nil {
				head = append(head, b[0])
			}
		}
		return words(head, err), true
	case s.Rest > 0:
		_ = c.SetReadDeadline(time.Now().Add(time.Duration(s.Rest) * time.Millisecond))
		data, err := io.ReadAll(io.LimitReader(c, 4<<10))
		return words(data, err), true
	case s.Close:
		return words(nil, c.Close()), false
	default:
		return "", false
	}
}

// open opens n streams at once, each of which says a byte.
func (p *player) open(n int) string {
	var mu sync.Mutex
	opened := 0
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			c, err := p.guest().Dial(ctx)
			if err != nil {
				return
			}
			if _, err := c.Write([]byte("C")); err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			opened++
		})
	}
	all.Wait()
	return fmt.Sprint(opened)
}

func decode(s string) []byte {
	data, err := base64.StdEncoding.DecodeString(s)
	check(err)
	return data
}

// words is what was read, and how reading ended unless it was well.
func words(data []byte, err error) string {
	if err != nil {
		return string(data) + "!" + err.Error()
	}
	return string(data)
}
