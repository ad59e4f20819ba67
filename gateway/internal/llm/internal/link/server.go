package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// Server is who is asked, in the words that its failures are told in.
type Server struct {
	Who     string // "Claude", "the model server at http://localhost:11434/v1"
	Model   string
	Host    string        // of the configured base URL
	Key     func() string // may return nothing
	KeyFix  string        // what to do about a key that is not accepted
	FindFix string        // what to do about a model that is not there
	Timeout time.Duration
	Idle    time.Duration
}

// Token returns the key, fit for a header. It is empty when there is none.
func (s Server) Token() (string, error) {
	key := strings.TrimSpace(s.Key())
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &llm.Error{Kind: llm.Auth, What: fmt.Sprintf("the key for %s has characters that no key has", s.Who), Fix: s.KeyFix}
	}
	return key, nil
}

// Status words an answer that is not 200. Said is the server's own message; it is told only where it
// helps and when it repeats no part of the key.
func (s Server) Status(code int, h http.Header, said string, now time.Time) *Failure {
	e := &llm.Error{RetryAfter: RetryAfter(h, now)}
	again := false
	switch {
	case code == http.StatusTooManyRequests:
		e.Kind, e.What, again = llm.RateLimited, fmt.Sprintf("%s limits the rate of requests (429)", s.Who), true
		e.Fix = "try again in a minute"
		if e.RetryAfter > 0 {
			e.Fix = fmt.Sprintf("try again in %s", max(e.RetryAfter.Round(time.Second), time.Second))
		}
	case code == http.StatusRequestTimeout, code == http.StatusConflict, code >= 500:
		e.Kind, e.What, again = llm.Overloaded, fmt.Sprintf("%s is overloaded or broken (%d)", s.Who, code), true
		e.Fix = "try again in a minute"
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Kind, e.What, e.Fix = llm.Auth, fmt.Sprintf("%s does not accept the key (%d)", s.Who, code), s.KeyFix
	case code == http.StatusPaymentRequired:
		e.Kind, e.What, e.Fix = llm.Auth, fmt.Sprintf("%s wants to be paid first (402)", s.Who), "check the balance of the account that the key belongs to"
	case code == http.StatusNotFound:
		e.Kind, e.What, e.Fix = llm.NotFound, fmt.Sprintf("%s knows no model %q, or has no such path (404)", s.Who, s.Model), s.FindFix
	case code >= 300 && code < 400:
		e.Kind = llm.NotFound
		e.What = fmt.Sprintf("%s redirects to another address (%d), which is not followed because the key would go there", s.Who, code)
		e.Fix = "set llm.baseURL to the final address"
	default:
		e.Kind, e.What = llm.BadRequest, fmt.Sprintf("%s refuses the request (%d)", s.Who, code)
		if said = s.Clean(said); said != "" {
			e.What += ": " + said
		}
		e.Fix = "start a new conversation if it says that the prompt is too long"
	}
	// The vendors say in a header what they know better than a table of codes.
	switch h.Get("X-Should-Retry") {
	case "true":
		again = true
	case "false":
		again = false
	}
	return &Failure{Err: e, Again: again}
}

// Broken words an exchange that ended without a whole answer. Begun says that a 200 had come.
func (s Server) Broken(ctx context.Context, err error, begun bool) *Failure {
	switch {
	case errors.Is(err, ErrSilent):
		return &Failure{Err: &llm.Error{Kind: llm.Timeout, What: fmt.Sprintf("%s was silent for %s", s.Who, s.Idle), Fix: "try again"}}
	case errors.Is(err, ErrDeadline), errors.Is(err, context.DeadlineExceeded), errors.Is(context.Cause(ctx), ErrDeadline):
		return &Failure{Err: &llm.Error{Kind: llm.Timeout, What: fmt.Sprintf("%s did not finish its answer within %s", s.Who, s.Timeout), Fix: "try again, or raise llm.timeout"}}
	case errors.Is(err, ErrTooLong):
		return s.TooLarge()
	case begun:
		return s.Cut("the connection broke in the middle of it")
	}
	// Only the innermost reason is told: the layers around it repeat method and URL.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		err = e.Err
	}
	return &Failure{Again: true, Err: &llm.Error{
		Kind: llm.Unreachable,
		What: fmt.Sprintf("%s cannot be reached at %s (%s)", s.Who, s.Host, s.Clean(err.Error())),
		Fix:  "check the network and llm.baseURL",
	}}
}

// Cut words an answer that is not whole. It is not asked for again: a part may have been shown.
func (s Server) Cut(why string) *Failure {
	return &Failure{Err: &llm.Error{Kind: llm.Cut, What: fmt.Sprintf("the answer of %s is not whole: %s; nothing of it was run", s.Who, why), Fix: "try again"}}
}

// TooLarge words an answer past [llm.MaxInputBytes].
func (s Server) TooLarge() *Failure {
	return &Failure{Err: &llm.Error{Kind: llm.TooLarge, What: fmt.Sprintf("%s wrote more than %d MiB in one answer; nothing of it was run", s.Who, llm.MaxInputBytes>>20), Fix: "ask for less at once"}}
}

// WrongType words a 200 that is not an event stream.
func (s Server) WrongType(contentType string) *Failure {
	return s.Cut(fmt.Sprintf("it came as %q and not as an event stream, so llm.baseURL may name something else", s.Clean(contentType)))
}

// Clean makes a text from outside fit for one line: no control characters, 300 characters at most,
// and empty when it repeats eight or more characters of the key.
func (s Server) Clean(text string) string {
	key := strings.TrimSpace(s.Key())
	for i := 0; i+8 <= len(key); i++ {
		if strings.Contains(text, key[i:i+8]) {
			return ""
		}
	}
	if key != "" && strings.Contains(text, key) {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, "?"))
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return strings.TrimSpace(text)
}
