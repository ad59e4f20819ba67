package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is more than the largest upload that Telegram takes.
const maxBody = 64 << 20

// refusal is an answer with ok false.
type refusal struct {
	code       int
	words      string
	retryAfter int
	// foreseen is set when a correct client would not have asked.
	foreseen bool
}

func (r *refusal) Error() string { return r.words }

// wrong refuses what the client could have known to be wrong.
func wrong(format string, args ...any) error {
	return &refusal{code: 400, words: "Bad Request: " + fmt.Sprintf(format, args...), foreseen: true}
}

// unlucky refuses what only the server could know.
func unlucky(code int, words string) error { return &refusal{code: code, words: words} }

// upload is one file of a multipart body.
type upload struct {
	name, mime string
	data       []byte
}

// request is a call as it is read from the socket, in one shape for all its encodings.
type request struct {
	http   *http.Request
	method string
	values map[string]string
	files  map[string]upload
	call   int // its place in calls
}

// ServeHTTP answers one request.
func (tg *Telegram) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutPrefix(r.URL.Path, "/file/bot"); ok {
		tg.serveFile(w, r, path)
		return
	}
	token, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
	if !ok || !strings.HasPrefix(r.URL.Path, "/bot") {
		answer(w, nil, &refusal{code: 404, words: "Not Found"})
		return
	}
	if token != tg.token {
		answer(w, nil, &refusal{code: 401, words: "Unauthorized"})
		return
	}
	q := &request{http: r, method: canonical(method), values: make(map[string]string), files: make(map[string]upload)}
	broken := q.read(r)
	tg.mu.Lock()
	tg.note(q)
	fault := tg.fault(q.method)
	tg.mu.Unlock()
	if fault.before(w, r, tg.done) {
		return
	}
	var result any
	err := broken
	if err == nil {
		result, err = tg.act(q)
	}
	if err != nil && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client left
	}
	tg.mu.Lock()
	tg.outcome(q, err)
	tg.mu.Unlock()
	if fault.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	answer(w, result, err)
}

// note adds the call to the list. The caller holds mu.
func (tg *Telegram) note(q *request) {
	names := make(map[string]string)
	for field, f := range q.files {
		names[field] = f.name
	}
	q.call = len(tg.calls)
	tg.calls = append(tg.calls, APICall{Method: q.method, Params: q.values, Files: names, At: time.Now()})
	tg.happened()
}

// outcome adds the answer to the list of calls. The caller holds mu.
func (tg *Telegram) outcome(q *request, err error) {
	c := &tg.calls[q.call]
	c.Code = http.StatusOK
	if no, ok := errors.AsType[*refusal](err); ok {
		c.Code, c.Description = no.code, no.words
		if no.foreseen {
			tg.violation("%s: %s\n%.2000s", q.method, no.words, fmt.Sprint(q.values))
		}
	}
	tg.happened()
}

func answer(w http.ResponseWriter, result any, err error) {
	out := map[string]any{"ok": true, "result": result}
	code := http.StatusOK
	if err != nil {
		no, ok := errors.AsType[*refusal](err)
		if !ok {
			no = &refusal{code: 500, words: "Internal Server Error: " + err.Error()}
		}
		code = no.code
		out = map[string]any{"ok": false, "error_code": no.code, "description": no.words}
		if no.retryAfter > 0 {
			out["parameters"] = map[string]any{"retry_after": no.retryAfter}
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // an update that Raw was given cannot be JSON
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // fails only with the connection
}

// read takes the parameters from the query string and the body, as the server does.
func (q *request) read(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return &refusal{code: 405, words: "Method Not Allowed: closing connection", foreseen: true}
	}
	for name, values := range r.URL.Query() {
		q.values[name] = values[len(values)-1]
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if len(body) > maxBody {
		return &refusal{code: 413, words: "Request Entity Too Large", foreseen: true}
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
	case kind == "application/json":
		err = q.readJSON(body)
	case kind == "application/x-www-form-urlencoded":
		err = q.readForm(body)
	case kind == "multipart/form-data":
		err = q.readParts(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	default:
		return wrong("unsupported Content-Type %q", kind)
	}
	if err != nil {
		return err
	}
	for name, value := range q.values {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return wrong("strings must be encoded in UTF-8")
		}
	}
	return nil
}

func (q *request) readJSON(body []byte) error {
	var fields map[string]json.RawMessage
	if !utf8.Valid(body) {
		return wrong("strings must be encoded in UTF-8")
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return wrong("can't parse JSON object")
	}
	for name, raw := range fields {
		var text string
		if string(raw) == "null" {
			continue
		}
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		q.values[name] = text
	}
	return nil
}

func (q *request) readForm(body []byte) error {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return wrong("can't parse the form: %v", err)
	}
	for name, v := range values {
		q.values[name] = v[len(v)-1]
	}
	return nil
}

func (q *request) readParts(parts *multipart.Reader) error {
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return wrong("can't parse the multipart body: %v", err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return wrong("can't parse the multipart body: %v", err)
		}
		if part.FileName() != "" {
			q.files[part.FormName()] = upload{name: part.FileName(), mime: part.Header.Get("Content-Type"), data: data}
		} else {
			q.values[part.FormName()] = string(data)
		}
	}
}

// integer reads a number; the server takes what is not one for the default.
func (q *request) integer(name string, byDefault int64) int64 {
	n, err := strconv.ParseInt(q.values[name], 10, 64)
	if err != nil {
		return byDefault
	}
	return n
}

func (q *request) bool(name string) bool {
	v := strings.ToLower(strings.TrimSpace(q.values[name]))
	return v == "true" || v == "yes" || v == "1"
}
