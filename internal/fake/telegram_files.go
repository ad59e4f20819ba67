package fake

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Limits of files, in bytes.
const (
	maxUpload   = 50 << 20
	maxPhoto    = 10 << 20
	maxDownload = 20 << 20
)

// stored is a file as the server keeps it.
type stored struct {
	id, unique string
	kind       string // document or photo
	name, mime string
	data       []byte
	size       int64 // as the server tells it
	thumb      *stored
	path       string // known to /file/ once getFile told it
}

// store keeps a file. The caller holds mu.
func (tg *Telegram) store(kind, name, mime string, data []byte, size int64) *stored {
	tg.lastID++
	f := &stored{
		id: fmt.Sprintf("BQACAgIAAxkBAAI%08d", tg.lastID), unique: fmt.Sprintf("AgAD%06d", tg.lastID), kind: kind,
		name: name, mime: mime, data: data, size: cmp.Or(size, int64(len(data))),
	}
	tg.files[f.id] = f
	return f
}

func (f *stored) json(out map[string]any) {
	if f.kind == "photo" {
		// Smallest first, as the server does.
		sizes := []any{f.size1(1280)}
		if f.thumb != nil {
			sizes = []any{f.thumb.size1(90), f.size1(1280)}
		}
		out["photo"] = sizes
		return
	}
	body := map[string]any{"file_id": f.id, "file_unique_id": f.unique, "file_size": f.size}
	if f.name != "" {
		body["file_name"] = f.name
	}
	if f.mime != "" {
		body["mime_type"] = f.mime
	}
	out["document"] = body
}

func (f *stored) size1(width int) map[string]any {
	return map[string]any{"file_id": f.id, "file_unique_id": f.unique, "file_size": f.size, "width": width, "height": width * 3 / 4}
}

func (tg *Telegram) sendDocument(q *request) (any, error) { return tg.sendFile(q, "document") }
func (tg *Telegram) sendPhoto(q *request) (any, error)    { return tg.sendFile(q, "photo") }

func (tg *Telegram) sendFile(q *request, kind string) (any, error) {
	up, uploaded := q.files[kind]
	if field, ok := strings.CutPrefix(q.values[kind], "attach://"); ok {
		up, uploaded = q.files[field]
	}
	m := &message{}
	switch again := tg.files[q.values[kind]]; {
	case uploaded && len(up.data) == 0:
		return nil, wrong("file must be non-empty")
	case uploaded && len(up.data) > maxUpload:
		return nil, &refusal{code: 413, words: "Request Entity Too Large", foreseen: true}
	case uploaded && kind == "photo" && len(up.data) > maxPhoto:
		return nil, wrong("file of size %d bytes is too big for a photo", len(up.data))
	case uploaded && kind == "photo" && !strings.HasPrefix(http.DetectContentType(up.data), "image/"):
		return nil, wrong("IMAGE_PROCESS_FAILED")
	case uploaded:
		m.file = tg.store(kind, path.Base(up.name), up.mime, up.data, 0)
	case again != nil:
		m.file = again
	case q.values[kind] != "":
		return nil, wrong("wrong file identifier/HTTP URL specified")
	default:
		return nil, wrong("there is no %s in the request", kind)
	}
	if err := tg.body(q, m, "caption", "caption_entities"); err != nil {
		return nil, err
	}
	return tg.send(q, m)
}

// getFile tells where a file can be loaded from.
func (tg *Telegram) getFile(q *request) (any, error) {
	id := q.values["file_id"]
	if id == "" {
		return nil, wrong("file_id not specified")
	}
	f := tg.files[id]
	if f == nil {
		return nil, wrong("invalid file_id")
	}
	if f.size > maxDownload {
		return nil, wrong("file is too big")
	}
	if f.path == "" {
		folder, ext := "documents", path.Ext(f.name)
		if f.kind == "photo" {
			folder, ext = "photos", ".jpg"
		}
		f.path = fmt.Sprintf("%s/file_%s%s", folder, strings.TrimPrefix(f.unique, "AgAD"), ext)
	}
	return map[string]any{"file_id": f.id, "file_unique_id": f.unique, "file_size": f.size, "file_path": f.path}, nil
}

// serveFile is the download. Its faults are those of the method "file".
func (tg *Telegram) serveFile(w http.ResponseWriter, r *http.Request, rest string) {
	token, name, _ := strings.Cut(rest, "/")
	if token != tg.token {
		answer(w, nil, &refusal{code: 401, words: "Unauthorized"})
		return
	}
	tg.mu.Lock()
	q := &request{http: r, method: "file", values: map[string]string{"path": name}}
	tg.note(q)
	fault := tg.fault("file")
	var data []byte
	var err error = &refusal{code: 404, words: "Not Found"}
	for _, f := range tg.files {
		if f.path != "" && f.path == name {
			data, err = f.data, nil
		}
	}
	tg.mu.Unlock()
	if fault.before(w, r, tg.done) {
		return
	}
	tg.mu.Lock()
	tg.outcome(q, err)
	tg.mu.Unlock()
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	if fault.LoseAnswer {
		data = data[:len(data)/2] // the length above promises more
	}
	_, _ = w.Write(data) // fails only with the connection
	if fault.LoseAnswer {
		_ = http.NewResponseController(w).Flush() // or the client would not notice, and ask again by itself
		panic(http.ErrAbortHandler)
	}
}
