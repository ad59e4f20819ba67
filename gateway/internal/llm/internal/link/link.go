// Package link is what the adapters over HTTP share: where a key may go, how long a silence is
// waited out, which failures are tried again, and the words they are told in.
//
// It promises that a request reaches the configured server or nobody: redirects and proxies from
// the environment are not followed, and plain http is for this machine and its own network. A
// failure it words holds neither the key nor any part of it. See [Check], [Client] and [Retry].
package link

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The reasons for which [Client] gives up on a server that holds the connection.
var (
	ErrSilent   = errors.New("no byte came for too long")
	ErrTooLong  = errors.New("one event of the stream is too long")
	ErrDeadline = errors.New("the answer took too long")
)

// MaxEvent is the most bytes of one server-sent event: all tool input of an answer with every byte of it
// escaped in the usual way, and room for the envelope.
const MaxEvent = 32 << 20

// maxErrorBody is how much of an error's body is read.
const maxErrorBody = 64 << 10

// Check returns base without its last slash, or says why a key must not be sent there: it wants https, or http to
// this machine, a private address or a name without a public suffix, and nothing but scheme, host and path.
func Check(base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		// The text may hold a password; url.Parse would quote it.
		return "", errors.New("llm.baseURL is not a URL; write it as https://host/path")
	case u.User != nil:
		return "", errors.New("llm.baseURL has a user name or password in it; put the key in .env")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "", errors.New("llm.baseURL has a query or a fragment; write it as https://host/path")
	case u.Hostname() == "":
		return "", fmt.Errorf("llm.baseURL %q has no host; write it as https://host/path", base)
	case u.Scheme == "https", u.Scheme == "http" && nearby(u.Hostname()):
		return strings.TrimRight(base, "/"), nil
	case u.Scheme == "http":
		return "", fmt.Errorf("llm.baseURL %q would send prompts and key in clear text over the Internet; use https", base)
	}
	return "", fmt.Errorf("llm.baseURL %q is neither http nor https", base)
}

// nearby reports whether a host is this machine or on its own network, as far as its name alone can tell.
func nearby(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate()
	}
	if !strings.Contains(host, ".") {
		return true // localhost, and the service names of compose
	}
	for _, suffix := range []string{".localhost", ".local", ".lan", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// Client returns an HTTP client that follows no redirect, reads no environment and gives up with
// [ErrSilent] when nothing arrives for as long as idle, or with [ErrTooLong] in the middle of a huge event.
func Client(idle time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &guard{idle: idle, next: &http.Transport{
			DialContext:         dialer.DialContext,
			TLSHandshakeTimeout: 15 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        4,
			IdleConnTimeout:     90 * time.Second,
			// A compressed stream would have to be inflated before its size is known.
			DisableCompression:     true,
			MaxResponseHeaderBytes: 256 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
