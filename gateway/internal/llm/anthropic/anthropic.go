// Package anthropic asks Claude, on the official SDK, always as a stream.
//
// It promises that a reply with calls is a whole one: the stream came to its end, every block was closed and
// the model stopped for its tools. What a call contains is passed on byte for byte; nothing here parses it.
// It refuses to send the key anywhere but to the configured server, to wait longer than it was told,
// and to collect more than [llm.MaxInputBytes] of one answer. See [New].
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// DefaultBaseURL is the vendor's own server; DefaultModel is asked when none is configured.
const (
	DefaultBaseURL = "https://api.anthropic.com"
	DefaultModel   = "claude-sonnet-5-5"
)

// Options say whom to ask, and how patiently. Zero fields get the defaults named here.
type Options struct {
	// APIKey returns the key; it is a function so that no print of the options shows it.
	APIKey  func() string
	BaseURL string        // default DefaultBaseURL; https, or http on this machine and its network
	Model   string        // default DefaultModel
	Images  bool          // the model takes pictures; without, it is told that there is one
	Timeout time.Duration // of one answer, first byte to last; default 10 minutes
	Idle    time.Duration // longest silence; default 90 seconds
	Tries   int           // attempts at what fails before it begins to answer; default 3
	MaxWait time.Duration // longest wait that a server may ask for; default 60 seconds
	Now     func() time.Time
	// Wait waits between attempts; default is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Model is one Claude model. It is safe for concurrent use.
type Model struct {
	client sdk.Client
	http   *http.Client
	name   string
	images bool
	server link.Server
	retry  link.Retry
	pages  pages
}

// New checks the options. It does not connect, and it accepts an empty key: [Model.Ask] says then what is missing.
func New(o Options) (*Model, error) {
	base, err := link.Check(or(o.BaseURL, DefaultBaseURL))
	if err != nil {
		return nil, err
	}
	o.Timeout, o.Idle = or(o.Timeout, 10*time.Minute), or(o.Idle, 90*time.Second)
	m := &Model{
		http: link.Client(o.Idle),
		name: or(o.Model, DefaultModel), images: o.Images,
		retry: link.Retry{
			Tries: or(o.Tries, 3), MaxWait: or(o.MaxWait, time.Minute), Now: o.Now, Wait: o.Wait,
		},
	}
	if o.APIKey == nil {
		o.APIKey = func() string { return "" }
	}
	if m.retry.Now == nil {
		m.retry.Now = time.Now
	}
	if m.retry.Wait == nil {
		m.retry.Wait = link.Sleep
	}
	host, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("llm.baseURL is not a URL")
	}
	m.server = link.Server{
		Who: "Claude", Model: m.name, Host: host.Host, Key: o.APIKey, Timeout: o.Timeout, Idle: o.Idle,
		KeyFix:  "check ANTHROPIC_API_KEY in .env; keys are made at https://console.anthropic.com",
		FindFix: fmt.Sprintf("set llm.model to a current one, for example %s", DefaultModel),
	}
	// The SDK reads seven environment variables by default, and sends a token that it finds in one of
	// them to whatever base URL is configured. It also takes a retry-after of any length, so attempts are counted here.
	m.client = sdk.NewClient(
		option.WithoutEnvironmentDefaults(), option.WithoutOpenTelemetry(),
		option.WithBaseURL(base), option.WithHTTPClient(m.http), option.WithMaxRetries(0),
	)
	return m, nil
}

// Name is provider and model, for humans.
func (m *Model) Name() string { return "anthropic/" + m.name }

// Close lets go of idle connections.
func (m *Model) Close() { m.http.CloseIdleConnections() }

// Ask sends one request and waits for the whole answer. Its text goes to onText, which may be nil, as it comes; an
// answer that fails later is an error all the same. The error is an [*llm.Error], or that of ctx when ctx was cancelled.
func (m *Model) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	key, err := m.server.Token()
	if err != nil {
		return llm.Reply{}, err
	}
	if key == "" {
		return llm.Reply{}, &llm.Error{Kind: llm.Auth, What: "there is no key for Claude", Fix: "put ANTHROPIC_API_KEY in .env"}
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
		reply, failure = m.attempt(ctx, key, body, onText)
		return failure
	})
	if err != nil {
		return llm.Reply{}, err
	}
	return reply, nil
}

func (m *Model) attempt(ctx context.Context, key string, body []byte, onText func(string)) (llm.Reply, *link.Failure) {
	var resp *http.Response
	// What the SDK's NewStreaming does, with a body that is written already.
	err := m.client.Post(ctx, "v1/messages", body, &resp, option.WithAPIKey(key))
	stream := ssestream.NewStream[sdk.MessageStreamEventUnion](ssestream.NewDecoder(resp), err)
	defer stream.Close()
	if err := stream.Err(); err != nil {
		return llm.Reply{}, m.refused(ctx, err)
	}
	// To the SDK everything below 400 is a stream, and a stream of nothing is a success.
	if resp.StatusCode != http.StatusOK {
		return llm.Reply{}, m.server.Status(resp.StatusCode, resp.Header, "", m.retry.Now())
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return llm.Reply{}, m.server.WrongType(resp.Header.Get("Content-Type"))
	}
	answer := answer{server: m.server, onText: onText}
	for stream.Next() {
		done, failure := answer.take(stream.Current())
		if failure != nil {
			return llm.Reply{}, failure
		}
		if done {
			return answer.reply()
		}
	}
	switch err := stream.Err(); {
	case err == nil:
		return llm.Reply{}, m.server.Cut("it ended in the middle")
	case isAPIError(err):
		return llm.Reply{}, m.event(err)
	default:
		return llm.Reply{}, m.server.Broken(ctx, err, true)
	}
}

func isAPIError(err error) bool {
	_, ok := errors.AsType[*sdk.Error](err)
	return ok
}

// apiError is the envelope of the vendor's errors.
type apiError struct {
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details struct {
			Code string `json:"error_code"`
		} `json:"details"`
	} `json:"error"`
}

// refused words a request that got an error status, or no status at all.
func (m *Model) refused(ctx context.Context, err error) *link.Failure {
	e, ok := errors.AsType[*sdk.Error](err)
	if !ok {
		return m.server.Broken(ctx, err, false)
	}
	var said apiError
	_ = json.Unmarshal([]byte(e.RawJSON()), &said) // what cannot be read says nothing
	failure := m.server.Status(e.StatusCode, e.Response.Header, said.Error.Message, m.retry.Now())
	if said.Error.Details.Code == "enforced_spend_limit_reached" {
		failure.Again = false
		failure.Err.Fix = "the account's spend limit for this month is reached; raise it at https://console.anthropic.com"
	}
	return failure
}

// event words an error event, which comes after a 200 and has a type in place of a status.
func (m *Model) event(err error) *link.Failure {
	e, _ := errors.AsType[*sdk.Error](err)
	var said apiError
	_ = json.Unmarshal([]byte(e.RawJSON()), &said)
	code, ok := map[string]int{
		"invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
		"not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500,
		"timeout_error": 504, "overloaded_error": 529,
	}[said.Error.Type]
	if !ok {
		return m.server.Cut("an error came in the middle of it")
	}
	failure := m.server.Status(code, nil, said.Error.Message, m.retry.Now())
	failure.Err.What += " in the middle of its answer"
	failure.Again = false
	return failure
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
