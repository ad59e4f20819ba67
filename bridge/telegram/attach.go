package telegram

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// attached is the one file of a message, if it has one.
func (m *message) attached() *attachment {
	var a attachment
	named := func(from *attachment, kind, ext, mime string) {
		a = *from
		if a.Name == "" {
			a.Name = fmt.Sprintf("%s_%d%s", kind, m.ID, ext)
		}
		if a.Mime == "" {
			a.Mime = mime
		}
	}
	switch {
	case len(m.Photo) > 0:
		largest := &m.Photo[0]
		for i := range m.Photo {
			if p := &m.Photo[i]; p.Width*p.Height >= largest.Width*largest.Height {
				largest = p
			}
		}
		named(largest, "photo", ".jpg", "image/jpeg")
	case m.Animation != nil: // before document, which repeats it
		named(m.Animation, "animation", ".mp4", "video/mp4")
	case m.Document != nil:
		named(m.Document, "document", "", "application/octet-stream")
	case m.Audio != nil:
		named(m.Audio, "audio", ".mp3", "audio/mpeg")
	case m.Voice != nil:
		named(m.Voice, "voice", ".ogg", "audio/ogg")
	case m.Video != nil:
		named(m.Video, "video", ".mp4", "video/mp4")
	case m.VideoNote != nil:
		named(m.VideoNote, "video_note", ".mp4", "video/mp4")
	default:
		return nil
	}
	a.Name = cut(strings.ToValidUTF8(a.Name, "�"), 200)
	a.Mime = cut(strings.ToValidUTF8(a.Mime, "�"), 100)
	return &a
}

// partSize is how much of a file goes into one frame: less than wire.MaxChunk, since each frame is here several
// times over, as bytes, as base64 and as JSON.
const partSize = 128 << 10

// refused is a file that does not come along; the sentence is for the user and the model.
type refused struct{ why string }

func (r *refused) Error() string { return r.why }

// files hands the message's file to the gateway on one connection, or notes in out why it does not come along. An
// error means to start over: errAway on the next connection, any other after a while.
func (b *bridge) files(ctx context.Context, s *session, m *message, out *wire.Message) error {
	a := m.attached()
	if a == nil || out.Files == nil && len(out.Refused) > 0 {
		return nil // none, or given up on an earlier connection
	}
	out.Files = nil
	var err error
	// Behind an update that is in hand Telegram shows no more than a hundred others: a file must come to an end.
	all := ctx
	ctx, cancel := context.WithTimeout(ctx, b.t.download)
	defer cancel()
	for try, wait := 0, time.Duration(0); try < 3; try++ {
		if err = b.file(ctx, s, a, out.ID); err == nil {
			out.Files = []string{a.Name}
			return nil
		}
		if r, ok := errors.AsType[*refused](err); ok {
			out.Refused = append(out.Refused, r.why)
			return nil
		}
		if ctx.Err() != nil && all.Err() == nil {
			break // too slow
		}
		e, ok := errors.AsType[*apiError](err)
		if !ok {
			return err
		}
		if e.Code == http.StatusUnauthorized {
			break
		}
		b.o.Log.Warn("a file is not loaded yet", "message", out.ID, "err", e)
		wait = grow(wait, b.t.backoff, 10*b.t.backoff)
		sleep(ctx, max(jitter(wait), min(e.RetryAfter, 30*time.Second)))
		if all.Err() != nil {
			return all.Err()
		}
	}
	b.o.Log.Warn("a file could not be loaded", "message", out.ID, "err", err)
	out.Refused = append(out.Refused, fmt.Sprintf("The file %q could not be loaded from Telegram.", a.Name))
	return nil
}

func tooLarge(name string) error {
	return &refused{fmt.Sprintf("The file %q is larger than %d MB, the most that Telegram lets a bot load.", name, wire.MaxFile>>20)}
}

// file streams one file from Telegram to the gateway. No more than a chunk of it is ever here.
func (b *bridge) file(ctx context.Context, s *session, a *attachment, id string) error {
	if a.Size > wire.MaxFile {
		return tooLarge(a.Name)
	}
	var f remoteFile
	err := b.api.call(ctx, b.t.call, "getFile", struct {
		ID string `json:"file_id"`
	}{a.FileID}, &f)
	if e, ok := errors.AsType[*apiError](err); ok && e.Code == http.StatusBadRequest {
		if e.says("too big") {
			return tooLarge(a.Name)
		}
		return &refused{fmt.Sprintf("The file %q is no longer available at Telegram.", a.Name)}
	}
	if err != nil {
		return err
	}
	if f.Size > wire.MaxFile {
		return tooLarge(a.Name)
	}
	body, size, err := b.api.open(ctx, f.Path, b.t.idle)
	if err != nil {
		return err
	}
	defer body.Close()
	if size < 0 {
		size = f.Size // a server that does not say how long its answer is
	}
	if size > wire.MaxFile {
		return tooLarge(a.Name)
	}
	// Whatever was announced is only believed up to here: one byte more or less than size is not this file.
	buf := make([]byte, min(partSize, size+1))
	for offset := int64(0); ; {
		n, err := io.ReadFull(body, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return &apiError{Method: "file", Description: b.api.clean(reason(ctx, err))}
		}
		if offset+int64(n) > size || err != nil && offset+int64(n) < size {
			return &apiError{Method: "file", Description: fmt.Sprintf("the file has not the %d bytes that were announced", size)}
		}
		if n > 0 || size == 0 {
			if err := b.part(ctx, s, wire.FilePart{Message: id, Name: a.Name, Mime: a.Mime, Size: size, Offset: offset, Data: buf[:n]}); err != nil {
				return err
			}
		}
		offset += int64(n)
		if err != nil {
			return nil
		}
	}
}

func (b *bridge) part(ctx context.Context, s *session, p wire.FilePart) error {
	d, err := s.ask(ctx, b.t.ask, p.Message, wire.Up{File: &p})
	switch {
	case err != nil:
		return err
	case d.Answer != nil:
		return nil
	case d.Fault == nil:
		return fmt.Errorf("the gateway answers a file with another frame")
	case d.Fault.Code == "busy" || d.Fault.Code == "store":
		return fmt.Errorf("the gateway: %s", d.Fault.What)
	}
	return &refused{fmt.Sprintf("The file %q was not taken: %s.", p.Name, strings.TrimRight(cut(d.Fault.What, 300), "."))}
}

// open begins a download. It is cut off when no byte came for idle.
func (c *client) open(ctx context.Context, file string, idle time.Duration) (io.ReadCloser, int64, error) {
	fail := func(words string) error { return &apiError{Method: "file", Description: c.clean(words)} }
	if file == "" || path.IsAbs(file) || path.Clean("/"+file) != "/"+file {
		return nil, 0, &refused{"A file is kept where it cannot be loaded from."} // a server of one's own in local mode says so
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stalled := time.AfterFunc(idle, func() { cancel(context.DeadlineExceeded) })
	end := func() {
		stalled.Stop()
		cancel(nil)
	}
	escaped := (&url.URL{Path: file}).EscapedPath()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/file/bot"+c.token+"/"+escaped, nil)
	if err != nil {
		end()
		return nil, 0, fail("the request could not be made")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		end()
		return nil, 0, fail(reason(ctx, err))
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		end()
		e := &apiError{Method: "file", Code: resp.StatusCode, Description: "the file is not there"}
		return nil, 0, e
	}
	return &download{resp.Body, stalled, idle, end}, resp.ContentLength, nil
}

type download struct {
	io.ReadCloser
	stalled *time.Timer
	idle    time.Duration
	end     func()
}

func (d *download) Read(p []byte) (int, error) {
	d.stalled.Reset(d.idle)
	defer d.stalled.Stop() // while we wait for the gateway, Telegram owes us nothing
	return d.ReadCloser.Read(p)
}

func (d *download) Close() error {
	d.end()
	return d.ReadCloser.Close()
}
