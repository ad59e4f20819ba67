package telegram

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The most bytes of an answer. A hundred updates of the longest texts, quoted in full, stay below the first.
const (
	maxUpdates = 8 << 20
	maxAnswer  = 1 << 20
	maxWords   = 300 // of a description, in runes
)

// errToken is a token that cannot be one, so that no request was made with it.
var errToken = errors.New("the bot token is malformed: it looks like 123456789:AAE…, as @BotFather wrote it")

// apiError is a call that did not succeed. It never holds the token or an address.
type apiError struct {
	Method      string
	Code        int    // error_code, 0 without an answer that can be read
	Description string // in Telegram's words, or ours
	RetryAfter  time.Duration
	// Maybe is set when Telegram may have done what was asked: the request went out in full, and what
	// came back does not say.
	Maybe bool
}

func (e *apiError) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("telegram %s: %s", e.Method, e.Description)
	}
	return fmt.Sprintf("telegram %s: %d %s", e.Method, e.Code, e.Description)
}

// says reports whether a refusal has one of these words. Telegram gives many refusals the code 400, and only
// the words tell them apart.
func (e *apiError) says(words ...string) bool {
	text := strings.ToLower(e.Description)
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// client makes calls of the Bot API. The token is part of every address, so no error of net/http, which
// repeats the address, leaves it, and no redirect is followed.
type client struct {
	http  *http.Client
	base  string
	token string
	own   *http.Transport // to be closed by us, or nil
}

// newClient reads where the API is. plain reports a server that is reached without encryption beyond this machine.
func newClient(base, token string, h *http.Client) (c *client, plain bool, err error) {
	if base == "" {
		base = "https://api.telegram.org"
	}
	if !isToken(token) {
		return nil, false, errToken
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, false, errors.New("the address of the Bot API server is not of the form https://host[:port][/path]")
	}
	switch u.Scheme {
	case "https":
	case "http":
		ip := net.ParseIP(u.Hostname())
		plain = u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
	default:
		return nil, false, fmt.Errorf("the address of the Bot API server has the scheme %q, want https", u.Scheme)
	}
	c = &client{base: strings.TrimRight(base, "/"), token: token}
	if h == nil {
		// HTTP/1.1 only: a cancelled call then closes its connection, while a dead HTTP/2 connection would be
		// used again and again until the kernel gives it up.
		var one http.Protocols
		one.SetHTTP1(true)
		c.own = &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			Protocols:   &one, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
			MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
			WriteBufferSize: 16 << 10, ReadBufferSize: 16 << 10,
		}
		h = &http.Client{Transport: c.own}
	}
	mine := *h
	mine.Jar = nil
	mine.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &mine
	return c, plain, nil
}

// isToken keeps out what would change the address that the token becomes a part of.
func isToken(s string) bool {
	id, secret, ok := strings.Cut(s, ":")
	return ok && id != "" && secret != "" && len(s) <= 256 && strings.Trim(id, "0123456789") == "" &&
		strings.IndexFunc(secret, func(r rune) bool {
			return r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
		}) < 0
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// clean makes foreign words fit for a log: without the token, on one line, short.
func (c *client) clean(text string) string {
	text = strings.ReplaceAll(text, c.token, "[redacted]")
	if _, secret, ok := strings.Cut(c.token, ":"); ok {
		text = strings.ReplaceAll(text, secret, "[redacted]") // however the colon was written
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "�"))
	return cut(strings.TrimSpace(text), maxWords)
}

// cut shortens a text to so many runes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// answer is what every call comes to.
type answer struct {
	OK          bool           `json:"ok"`
	Result      jsontext.Value `json:"result"`
	Code        int            `json:"error_code"`
	Description string         `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
	} `json:"parameters"`
}

// decode reads Telegram's JSON: fields that we do not know are passed over, since it adds some every month,
// but names are exact and none may stand twice.
func decode(data []byte, v any) error {
	return json.Unmarshal(data, v, jsontext.AllowInvalidUTF8(true))
}

// call makes one call with a JSON body and reads its result into out, which may be nil.
func (c *client) call(ctx context.Context, timeout time.Duration, method string, in, out any) error {
	body, err := json.Marshal(in, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return &apiError{Method: method, Description: c.clean(err.Error())}
	}
	return c.post(ctx, timeout, method, "application/json", bytes.NewReader(body), int64(len(body)), out)
}

func (c *client) post(ctx context.Context, timeout time.Duration, method, kind string, body io.Reader, size int64, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var written atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) { written.Store(w.Err == nil) },
	})
	fail := func(words string) *apiError {
		return &apiError{Method: method, Description: c.clean(words), Maybe: written.Load()}
	}
	req, err := http.NewRequestWithContext(traced, http.MethodPost, c.base+"/bot"+c.token+"/"+method, body)
	if err != nil {
		return fail("the request could not be made") // err repeats the address
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", kind)
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(reason(ctx, err))
	}
	defer resp.Body.Close()
	limit := int64(maxAnswer)
	if method == "getUpdates" {
		limit = maxUpdates
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return fail(reason(ctx, err))
	}
	if int64(len(data)) > limit {
		e := fail(fmt.Sprintf("the answer is longer than %d bytes", limit))
		e.Code = http.StatusRequestEntityTooLarge
		return e
	}
	var a answer
	if err := decode(data, &a); err != nil || !a.OK && a.Code == 0 {
		// A proxy in between said this. What Telegram did is not known, unless the proxy is sure.
		e := fail(fmt.Sprintf("HTTP %d without an answer of the Bot API", resp.StatusCode))
		e.Code = resp.StatusCode
		if resp.StatusCode < 300 {
			e.Code = http.StatusBadGateway
		}
		e.Maybe = resp.StatusCode < 300 || resp.StatusCode >= 500
		return e
	}
	if !a.OK {
		return &apiError{
			Method: method, Code: a.Code, Description: c.clean(a.Description), Maybe: a.Code >= 500,
			RetryAfter: time.Duration(min(max(a.Parameters.RetryAfter, 0), 24*3600)) * time.Second,
		}
	}
	if out == nil {
		return nil
	}
	if err := decode(a.Result, out); err != nil {
		e := fail("the result does not fit: " + err.Error())
		e.Code = http.StatusBadGateway
		return e
	}
	return nil
}

// reason is why a request failed, without the address that [url.Error] repeats.
func reason(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no answer in time"
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed"
	}
	return err.Error()
}

// asAPI returns the API's error in err; for any other it makes one that says nothing was sent, and for none one
// that says nothing.
func asAPI(err error) *apiError {
	if err == nil {
		return &apiError{}
	}
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return &apiError{Method: "call", Description: err.Error()}
}
