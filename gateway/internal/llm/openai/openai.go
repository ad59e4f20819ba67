// Package openai asks a model behind any server that speaks OpenAI's chat completions as a stream: Ollama,
// vLLM, LM Studio, OpenRouter, and the vendor's own.
//
// It promises that a reply with calls is a whole one: the server gave a reason for its end, and the stream
// came to it. The liberties that servers take (calls in one piece, without index or id, arguments as an
// object) are understood; where two readings are possible, the call is left for the gate to refuse. The key,
// if there is one, goes to the configured server only. See [New].
package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// Options say whom to ask, and how patiently. Zero fields get the defaults named here; BaseURL and Model have none.
type Options struct {
	// APIKey returns the key, or nothing for a server that wants none; it is a function so that no print of the options shows it.
	APIKey  func() string
	BaseURL string        // up to and without /chat/completions; https, or http on this machine and its network
	Model   string        // as the server names it
	Images  bool          // the model takes pictures; without, it is told that there is one
	Timeout time.Duration // of one answer, first byte to last; default 10 minutes
	Idle    time.Duration // longest silence; default 3 minutes, because a local server loads its model first
	Tries   int           // attempts at what fails before it begins to answer; default 3
	MaxWait time.Duration // longest wait that a server may ask for; default 60 seconds
	Now     func() time.Time
	// Wait waits between attempts; default is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Model is one model of one server. It is safe for concurrent use.
type Model struct {
	client *http.Client
	url    string
	name   string
	images bool
	// vendor says that it is OpenAI's own server, which names the token limit in another way.
	vendor bool
	server link.Server
	retry  link.Retry
}

// New checks the options. It does not connect.
func New(o Options) (*Model, error) {
	if o.BaseURL == "" {
		return nil, errors.New("llm.baseURL is missing; the provider openai needs one, for example http://localhost:11434/v1")
	}
	if o.Model == "" {
		return nil, errors.New("llm.model is missing; the provider openai needs the name of a model that the server has")
	}
	base, err := link.Check(o.BaseURL)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("llm.baseURL is not a URL")
	}
	if o.APIKey == nil {
		o.APIKey = func() string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = link.Sleep
	}
	m := &Model{
		client: link.Client(cmp.Or(o.Idle, 3*time.Minute)),
		url:    base + "/chat/completions",
		name:   o.Model,
		images: o.Images,
		vendor: u.Hostname() == "api.openai.com",
		server: link.Server{
			Who: "the model server", Model: o.Model, Host: u.Host, Key: o.APIKey,
			Timeout: cmp.Or(o.Timeout, 10*time.Minute), Idle: cmp.Or(o.Idle, 3*time.Minute),
			KeyFix:  "check OPENAI_API_KEY in .env",
			FindFix: "check llm.model, and that llm.baseURL ends as the server wants it (mostly /v1)",
		},
		retry: link.Retry{Tries: cmp.Or(o.Tries, 3), MaxWait: cmp.Or(o.MaxWait, time.Minute), Now: o.Now, Wait: o.Wait},
	}
	return m, nil
}

// Name is provider and model, for humans.
func (m *Model) Name() string { return "openai/" + m.name }

// Close lets go of idle connections.
func (m *Model) Close() { m.client.CloseIdleConnections() }

// Ask sends one request and waits for the whole answer. Its text goes to onText, which may be nil, as it comes; an
// answer that fails later is an error all the same. The error is an [*llm.Error], or that of ctx when ctx was cancelled.
func (m *Model) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	key, err := m.server.Token()
	if err != nil {
		return llm.Reply{}, err
	}
	body, err := m.body(req)
	if err != nil {
		return llm.Reply{}, err
	}
	var reply llm.Reply
	err = m.retry.Do(ctx, func(ctx context.Context) *link.Failure {
		ctx, cancel := context.WithTimeoutCause(ctx, m.server.Timeout, link.ErrDeadline)
		defer cancel()
		var failure *link.Failure
		reply, failure = m.attempt(ctx, key, body, &answer{server: m.server, onText: onText, turn: len(req.Turns)})
		return failure
	})
	if err != nil {
		return llm.Reply{}, err
	}
	return reply, nil
}

func (m *Model) attempt(ctx context.Context, key string, body []byte, a *answer) (llm.Reply, *link.Failure) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(body))
	if err != nil {
		return llm.Reply{}, m.server.Broken(ctx, err, false)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "secureclaw")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return llm.Reply{}, m.server.Broken(ctx, err, false)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return llm.Reply{}, m.refused(ctx, resp)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return llm.Reply{}, m.server.WrongType(resp.Header.Get("Content-Type"))
	}
	events := newEvents(resp.Body)
	for {
		data, err := events.next()
		switch {
		case err == io.EOF, string(data) == "[DONE]":
			// A reason for the end is required, [DONE] is not: several servers leave it out.
			return a.reply()
		case err != nil:
			return llm.Reply{}, m.server.Broken(ctx, err, true)
		}
		if failure := a.take(data, m.retry.Now()); failure != nil {
			return llm.Reply{}, failure
		}
	}
}

// refused words an error status with what the server says of it.
func (m *Model) refused(ctx context.Context, resp *http.Response) *link.Failure {
	body, err := io.ReadAll(resp.Body)
	if err != nil && (errors.Is(err, link.ErrSilent) || ctx.Err() != nil) {
		return m.server.Broken(ctx, err, false)
	}
	var said struct {
		Error wireError `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // what cannot be read says nothing
	failure := m.server.Status(resp.StatusCode, resp.Header, said.Error.Message, m.retry.Now())
	if said.Error.is("insufficient_quota") {
		failure.Again = false
		failure.Err.Fix = "check the balance of the account that the key belongs to"
	}
	return failure
}
