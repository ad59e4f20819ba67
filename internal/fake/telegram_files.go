package fake

import "net/http"

// stored is a file as the server keeps it.
type stored struct {
	id, unique string
	kind       string // document or photo
	name, mime string
	data       []byte
	size       int64 // as the server tells it
	path       string
}

func (f *stored) json(out map[string]any) {
	body := map[string]any{"file_id": f.id, "file_unique_id": f.unique, "file_size": f.size}
	if f.kind == "photo" {
		body["width"], body["height"] = 1280, 960
		out["photo"] = []any{body}
		return
	}
	body["file_name"], body["mime_type"] = f.name, f.mime
	out["document"] = body
}

func (tg *Telegram) serveFile(w http.ResponseWriter, _ *http.Request, _ string) {
	answer(w, nil, &refusal{code: 404, words: "Not Found"})
}
