package link

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

func TestCheck(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.example.com":        "https://api.example.com",
		"https://api.example.com/v1/":    "https://api.example.com/v1",
		"http://localhost:11434/v1":      "http://localhost:11434/v1",
		"http://127.0.0.1:1":             "http://127.0.0.1:1",
		"http://[::1]:1":                 "http://[::1]:1",
		"http://192.168.1.7:8000":        "http://192.168.1.7:8000",
		"http://ollama:11434":            "http://ollama:11434",
		"http://nas.local/v1":            "http://nas.local/v1",
		"http://host.docker.internal:80": "http://host.docker.internal:80",
		"http://api.example.com":         "",
		"http://8.8.8.8":                 "",
		"http://169.254.169.254":         "",
		"http://[2001:4860::1]":          "",
		"http://local":                   "http://local",
		"http://evil.example/.local":     "",
		"ftp://localhost":                "",
		"localhost:11434":                "",
		"//localhost":                    "",
		"https://":                       "",
		"https://user:pw@example.com":    "",
		"https://example.com?key=x":      "",
		"https://example.com?":           "",
		"https://example.com#x":          "",
		"https://exa mple.com":           "",
		"":                               "",
	} {
		got, err := Check(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Check(%q) = %q, %v; want %q", base, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("Check(%q) = %v, which shows a password", base, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "0": 0, "-1": 0, "": 0, "soon": 0, "NaN": 0,
		"1e300": 365 * 24 * time.Hour, "Inf": 365 * 24 * time.Hour,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0,
		"Sun, 22 Nov 2099 11:00:00 GMT": 365 * 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("RetryAfter(%q) = %s, want %s", text, got, want)
		}
	}
	if got := RetryAfter(http.Header{"Retry-After-Ms": {"250"}, "Retry-After": {"9"}}, now); got != 250*time.Millisecond {
		t.Errorf("RetryAfter = %s, want the finer one, 250ms", got)
	}
}

func TestRetryWaitsWithinItsBounds(t *testing.T) {
	failed := func(again bool, after time.Duration) *Failure {
		return &Failure{Err: &llm.Error{Kind: llm.Overloaded, What: "it is down", RetryAfter: after}, Again: again}
	}
	for name, tc := range map[string]struct {
		failure  *Failure
		deadline time.Duration
		attempts int
		took     time.Duration
	}{
		"backs off":               {failed(true, 0), time.Hour, 3, 1500 * time.Millisecond},
		"obeys":                   {failed(true, 20*time.Second), time.Hour, 3, 40 * time.Second},
		"does not wait for hours": {failed(true, time.Hour), 2 * time.Hour, 1, 0},
		"nor past the deadline":   {failed(true, 20*time.Second), 30 * time.Second, 2, 20 * time.Second},
		"nor when it is useless":  {failed(false, time.Second), time.Hour, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
				defer cancel()
				start, attempts := time.Now(), 0
				r := Retry{Tries: 3, MaxWait: time.Minute, Now: time.Now, Wait: Sleep}
				err := r.Do(ctx, func(context.Context) *Failure { attempts++; return tc.failure })
				if e, ok := errors.AsType[*llm.Error](err); !ok || attempts != tc.attempts || time.Since(start) != tc.took {
					t.Errorf("Do = %v (%v) after %d attempts and %s, want %d and %s", err, e, attempts, time.Since(start), tc.attempts, tc.took)
				}
				if tc.failure.Err.What != "it is down" {
					t.Errorf("Do changed the failure to %q", tc.failure.Err.What)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		r := Retry{Tries: 3, MaxWait: time.Minute, Now: time.Now, Wait: Sleep}
		err := r.Do(ctx, func(context.Context) *Failure { return failed(true, 30*time.Second) })
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("Do = %v after %s, want canceled after 1s", err, time.Since(start))
		}
	})
}

func TestHistory(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, " {\"a\" : 1}\n": " {\"a\" : 1}\n", `{}`: `{}`,
		``: `{}`, `null`: `{}`, `[1]`: `{}`, `{"a":1,"a":2}`: `{}`, `{"a":1} x`: `{}`, "{\"a\":\"\xff\"}": `{}`, `{"a":`: `{}`,
		`{"a":"` + strings.Repeat("x", maxHistoryInput) + `"}`: `{}`,
	} {
		if got := Input(in); got != want {
			t.Errorf("Input(%.60q) = %.60q, want %.60q", in, got, want)
		}
	}
	for in, want := range map[string]string{"read_file": "read_file", "": "unnamed", "a b\x00é": "a_b__", strings.Repeat("x", 99): strings.Repeat("x", 64)} {
		if got := ToolName(in); got != want {
			t.Errorf("ToolName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanHidesTheKey(t *testing.T) {
	s := Server{Key: func() string { return "sk-0123456789abcdef" }}
	for in, want := range map[string]string{
		"too long": "too long", "two\nlines\x1b[31m": "two lines[31m", "bad \xff": "bad ?", "\u202eevil": "evil",
		"key sk-0123456789abcdef": "", "key …89abcdef": "", "key sk-01…": "key sk-01…",
		strings.Repeat("x", 999): strings.Repeat("x", 300) + "…",
	} {
		if got := s.Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	short := Server{Key: func() string { return "abc" }}
	if got := short.Clean("your abc is wrong"); got != "" {
		t.Errorf("Clean with a short key = %q, want nothing", got)
	}
}
