package telegram

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// document is a file on its way out, read once.
type document struct {
	name, mime string
	size       int64
	body       io.Reader
}

// upload sends a document. The body is never here as a whole, yet its length is announced: a server that gets
// less than it was promised throws all of it away.
func (b *bridge) upload(ctx context.Context, chat int64, d *document, caption entity.Message, replyTo int64) (int64, error) {
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	fields := [][2]string{{"chat_id", strconv.FormatInt(chat, 10)}}
	add := func(name string, v any) error {
		data, err := json.Marshal(v)
		fields = append(fields, [2]string{name, string(data)})
		return err
	}
	if caption.Text != "" {
		fields = append(fields, [2]string{"caption", caption.Text})
		if list := entities(caption); len(list) > 0 {
			if err := add("caption_entities", list); err != nil {
				return 0, err
			}
		}
	}
	if replyTo != 0 {
		if err := add("reply_parameters", replyParameters{replyTo, true}); err != nil {
			return 0, err
		}
	}
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			return 0, err
		}
	}
	kind := d.mime
	if _, _, err := mime.ParseMediaType(kind); err != nil {
		kind = "application/octet-stream"
	}
	if _, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("document", fileName(d.name))},
		"Content-Type":        {kind},
	}); err != nil {
		return 0, err
	}
	tail := "\r\n--" + w.Boundary() + "--\r\n"
	size := int64(head.Len()) + d.size + int64(len(tail))
	file := &counted{r: d.body, left: d.size}
	var m message
	err := b.api.post(ctx, b.t.upload, "sendDocument", w.FormDataContentType(), io.MultiReader(&head, file, strings.NewReader(tail)), size, &m)
	if own := file.failed(); err != nil && own != nil {
		return 0, own // Telegram never had the whole request
	}
	return m.ID, err
}

// fileName keeps what a path, a header or a screen could misread out of a name.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\"`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if strings.Trim(name, ". ") == "" {
		return "file"
	}
	return cut(name, 120)
}

// counted reads exactly left bytes, and remembers why it could not.
type counted struct {
	r    io.Reader
	left int64

	mu  sync.Mutex // net/http may still read when the call has ended
	err error
}

func (c *counted) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.failed(); err != nil {
		return 0, err
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = nil
		if c.left > 0 {
			err = &apiError{Method: "sendDocument", Description: "the file ended early"}
		}
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
	}
	return n, err
}

// fetch reads an item's file from the gateway, a chunk at a time. The last chunk is handed on only when the
// digest of the whole is right: what was damaged on the way is never complete at Telegram.
type fetch struct {
	ctx    context.Context
	b      *bridge
	s      *session
	item   int64
	file   wire.File
	offset int64
	buf    []byte
	sum    hash.Hash
}

func (b *bridge) fetched(ctx context.Context, s *session, in wire.Send) io.Reader {
	return &fetch{ctx: ctx, b: b, s: s, item: in.Item, file: *in.File, sum: sha256.New()}
}

func (f *fetch) Read(p []byte) (int, error) {
	for len(f.buf) == 0 {
		if f.offset == f.file.Size {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.buf)
	f.buf = f.buf[n:]
	return n, nil
}

func (f *fetch) next() error {
	damaged := func(what string) error {
		return &apiError{Method: "sendDocument", Description: "the file from the gateway " + what}
	}
	d, err := f.s.ask(f.ctx, f.b.t.ask, chunkKey(f.item, f.offset), wire.Up{Fetch: &wire.Fetch{Item: f.item, Offset: f.offset}})
	if err != nil {
		return err
	}
	if d.Chunk == nil {
		return damaged("is not there")
	}
	data := d.Chunk.Data
	if len(data) == 0 || len(data) > wire.MaxChunk || f.offset+int64(len(data)) > f.file.Size {
		return damaged(fmt.Sprintf("has not the %d bytes that were announced", f.file.Size))
	}
	f.sum.Write(data)
	f.offset += int64(len(data))
	if f.offset == f.file.Size && hex.EncodeToString(f.sum.Sum(nil)) != strings.ToLower(f.file.SHA256) {
		return damaged("has another SHA-256 than announced")
	}
	f.buf = data
	return nil
}
