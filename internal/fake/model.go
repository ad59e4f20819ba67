// Package fake is the outside world on real sockets, for tests only: the model APIs and Telegram's Bot API, as
// their vendors document them, with every fault they can show.
//
// It imports none of our clients and no vendor's SDK, so a client's misreading of a protocol cannot hide in
// its own fake. It promises to be as strict as the real thing: a request that the vendor would refuse
// is answered as the vendor answers it, and fails the test. See [NewAnthropic], [NewOpenAI] and [NewTelegram].
package fake

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is what a client sent, checked and read into one shape for all vendors.
type Request struct {
	Header    http.Header
	Path      string
	Body      []byte
	Model     string
	MaxTokens int
	System    []string
	Tools     []string
	Turns     []Turn
	// NoCalls says that the client forbade calls (Anthropic only).
	NoCalls bool
	// CacheMarks is how many cache_control marks there are (Anthropic only).
	CacheMarks int
}

// Turn is one step of the conversation in a request.
type Turn struct {
	Role    string // user or assistant
	Text    string
	Calls   []Call
	Results []Result
	// Pictures are those beside the text; Anthropic takes them in a result, too.
	Pictures []Picture
}

// Picture is an image in a request, decoded.
type Picture struct {
	MIME string
	Data []byte
}

// Call is one tool call. Input is written to the wire as it is, whether it is JSON or not.
type Call struct{ ID, Tool, Input string }

// Result is what the client says of a call.
type Result struct {
	ID       string
	Content  string
	IsError  bool
	Pictures []Picture
}

// Usage is what an answer claims to have cost.
type Usage struct{ Input, Output, CacheRead, CacheWrite int }

// Step is what a model does with one request: an [Answer] or a [Fault].
type Step interface {
	stream(v vendor, req Request) (Fault, []byte)
}

// Answer is a model's answer, streamed.
type Answer struct {
	Text  string
	Calls []Call
	// Stop is the vendor's word for why it ended; empty stands for the usual one.
	Stop  string
	Usage Usage
	// Chunks are the sizes in bytes of the deltas, one after another and again from the start; none means 24 each.
	Chunks []int
	// Writes are the sizes in bytes of the writes on the socket, likewise; none means one for each event.
	Writes []int
	Delay  time.Duration // before each write
	Quirks Quirks
	Break  *Break
}

// Quirks are the liberties that servers take with a protocol.
type Quirks struct {
	CRLF        bool // lines end in CR LF
	WholeCalls  bool // a call comes in one piece (Anthropic: in its start; OpenAI: in one chunk)
	ObjectInput bool // OpenAI: arguments is an object in place of a string
	NoIDs       bool // OpenAI: calls have no id
	NoIndex     bool // OpenAI: calls have no index
	ZeroIndex   bool // OpenAI: all calls have index 0
	NoDone      bool // OpenAI: no [DONE] at the end
	NoUsage     bool // no usage anywhere
	Unknown     bool // events, blocks and fields that no one has heard of, in between
}

// Break is a fault in the middle of an answer. It strikes before the byte At, or before the first occurrence
// of the text Before in the stream.
type Break struct {
	At     int
	Before string
	How    How
	Insert string // for Insert: an event as it is on the wire
}

// How an answer breaks.
type How string

// The ways.
const (
	Abort  How = "abort"  // the connection dies
	End    How = "end"    // the stream ends as if it were whole
	Hang   How = "hang"   // the connection lives and nothing comes
	Insert How = "insert" // a text is put in, and the rest follows
	Last   How = "last"   // a text is put in, and nothing follows
)

// Fault is anything but an answer: a status with a body, or silence.
type Fault struct {
	Status      int // zero means 200
	Header      map[string]string
	ContentType string // default application/json, or text/event-stream with 200
	Body        string
	Silent      bool // nothing at all comes, not even a status
	Drop        bool // the connection is closed without a status
}

func (f Fault) stream(vendor, Request) (Fault, []byte) { return f, []byte(f.Body) }

// vendor is a protocol: how it reads requests, and how it writes answers and errors.
type vendor interface {
	read(r *http.Request, body []byte) (Request, error)
	events(req Request, a Answer) [][]byte
	refusal(status int, message string) string
}

func (a Answer) stream(v vendor, req Request) (Fault, []byte) {
	var out []byte
	for _, event := range v.events(req, a) {
		out = append(out, event...)
	}
	if a.Quirks.CRLF {
		out = []byte(strings.ReplaceAll(string(out), "\n", "\r\n"))
	}
	return Fault{}, out
}

// Server is a fake model API. Its URL takes the place of the vendor's.
type Server struct {
	URL string

	t      testing.TB
	vendor vendor
	http   *httptest.Server
	done   chan struct{}

	mu       sync.Mutex
	steps    []Step
	model    func(Request) Step
	requests []Request
	counted  []Request
	count    func(Request) int
	headers  []http.Header
}

func newServer(t testing.TB, v vendor) *Server {
	t.Helper()
	s := &Server{t: t, vendor: v, done: make(chan struct{})}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	t.Cleanup(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// Script appends what the model does with the next requests, one step for each.
func (s *Server) Script(steps ...Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, steps...)
}

// Play lets a function answer every request for which no step is left.
func (s *Server) Play(model func(Request) Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model = model
}

// Count lets a function say how many tokens a request has. Without one there are four bytes to a token;
// one that says less than 1 makes the server fail.
func (s *Server) Count(count func(Request) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = count
}

// Counted returns the requests whose tokens were to be counted, in order.
func (s *Server) Counted() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.counted)
}

// Requests returns what came in and was accepted, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Headers returns the header of every request, accepted or not.
func (s *Server) Headers() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.headers)
}

// ServeHTTP answers one request. A client that the vendor would refuse fails the test.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left in the middle of its own request
	}
	s.mu.Lock()
	s.headers = append(s.headers, r.Header.Clone())
	s.mu.Unlock()
	req, err := s.vendor.read(r, body)
	if err != nil {
		s.t.Errorf("the vendor would refuse this request: %v\n%s %s\n%.4000s", err, r.Method, r.URL, body)
		s.write(w, r, Fault{Status: http.StatusBadRequest}, []byte(s.vendor.refusal(400, err.Error())), Answer{})
		return
	}
	if req.Path == countPath {
		s.countTokens(w, req)
		return
	}
	step := s.next(req)
	if step == nil {
		s.t.Errorf("the script is over, and here comes another request:\n%.4000s", body)
		step = Fault{Status: http.StatusInternalServerError, Header: map[string]string{"X-Should-Retry": "false"}}
	}
	fault, stream := step.stream(s.vendor, req)
	if fault.Status >= 400 && fault.Body == "" {
		stream = []byte(s.vendor.refusal(fault.Status, http.StatusText(fault.Status)))
	}
	answer, _ := step.(Answer)
	s.write(w, r, fault, stream, answer)
}

// countTokens answers with the size of a request.
func (s *Server) countTokens(w http.ResponseWriter, req Request) {
	s.mu.Lock()
	s.counted = append(s.counted, req)
	count := s.count
	s.mu.Unlock()
	n := len(req.Body)/4 + 1
	if count != nil {
		n = count(req)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_fake")
	if n < 1 {
		w.WriteHeader(529)
		_, _ = io.WriteString(w, s.vendor.refusal(529, "Overloaded"))
		return
	}
	_, _ = fmt.Fprintf(w, `{"input_tokens":%d}`, n)
}

func (s *Server) next(req Request) Step {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	model := s.model
	var step Step
	if len(s.steps) > 0 {
		step, s.steps, model = s.steps[0], s.steps[1:], nil
	}
	s.mu.Unlock()
	if model != nil {
		step = model(req)
	}
	return step
}

// hang holds the connection until the client leaves or the test ends.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.done:
	}
}
