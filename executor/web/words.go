package web

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// maxURL is the most bytes of a URL in a result.
const maxURL = domain.MaxURL

// refused says in words that the tab was sent where this call may not go, empty when it was not.
func (v *visitor) refused(doc document) string {
	if doc.url == "" {
		return ""
	}
	u, err := domain.ParseURL(doc.url)
	code, why := string(domain.CodeOf(err)), fmt.Sprint(err)
	switch {
	case err != nil && doc.failed != "" && doc.failed != aborted:
	case err != nil || !refusedByProxy(doc.failed):
		return ""
	default:
		if code = v.relay.code(string(u.Host)); code == "" {
			if v.job.allowed.Covers(u.Host) {
				return "" // the proxy said nothing: its own failure
			}
			code = string(domain.CodeNotAllowed)
		}
		why = whyOf(code)
	}
	where, led := clip(doc.url, maxURL), "redirected"
	if doc.acted {
		led = "it leads"
	}
	switch {
	case doc.url == v.job.url.Text:
		return fmt.Sprintf("%s was not reached: %s (%s)", where, why, code)
	case err == nil && code == string(domain.CodeNotAllowed):
		return fmt.Sprintf("%s to %s, which this call may not reach: %s (%s); call browse_web with that url", led, where, why, code)
	default:
		return fmt.Sprintf("%s to %s, which may not be reached: %s (%s)", led, where, why, code)
	}
}

// whyOf is a code of the proxy in words.
func whyOf(code string) string {
	switch code {
	case "not_allowed", "domain":
		return "it is not on this call's list of names"
	case "ip_literal":
		return "it is an address; only names can be reached"
	case "port":
		return "only port 443 can be reached"
	case "scheme", "method":
		return "only https is let through"
	case "special_name":
		return "it is a name for this computer or a local network"
	case "bad_authority", "bad_request", "host_mismatch":
		return "the proxy could not read the request in one way only"
	case "dns_error", "dns_too_many":
		return "its name could not be looked up"
	case "dial_error":
		return "it does not answer"
	case "limit", "idle", "hello_timeout":
		return "a limit of this call was reached"
	case "":
		return ""
	default:
		return "its address is not a public one, or its connection not what it says"
	}
}

// netWords says a net::ERR_… of Chromium in words, with the error itself.
func netWords(code string) string {
	name := strings.TrimPrefix(code, "net::ERR_")
	var words string
	switch {
	case name == "CERT_AUTHORITY_INVALID":
		words = "its certificate was issued by nobody whom the browser trusts"
	case name == "CERT_DATE_INVALID":
		words = "its certificate has expired, or is not valid yet"
	case name == "CERT_COMMON_NAME_INVALID":
		words = "its certificate is for another name"
	case name == "CERT_REVOKED":
		words = "its certificate was revoked"
	case strings.HasPrefix(name, "CERT_"), strings.HasPrefix(name, "SSL_"), name == "BAD_SSL_CLIENT_AUTH_CERT":
		words = "no secure connection could be made"
	case name == "TOO_MANY_REDIRECTS":
		words = "it redirects without end"
	case name == "EMPTY_RESPONSE", name == "CONNECTION_CLOSED", name == "CONNECTION_RESET", name == "HTTP2_PROTOCOL_ERROR", name == "INCOMPLETE_CHUNKED_ENCODING":
		words = "the connection was closed without an answer"
	case name == "TUNNEL_CONNECTION_FAILED", name == "PROXY_CONNECTION_FAILED":
		words = "the way out made no connection"
	case name == "TIMED_OUT", name == "CONNECTION_TIMED_OUT":
		words = "it did not answer in time"
	case strings.HasPrefix(name, "BLOCKED_BY"), name == "UNSAFE_PORT", name == "UNKNOWN_URL_SCHEME", name == "DISALLOWED_URL_SCHEME", name == "UNSAFE_REDIRECT":
		words = "the browser refuses such an address"
	case name == "INVALID_AUTH_CREDENTIALS":
		words = "it asks for a user name and password"
	default:
		words = "the browser gave up"
	}
	return words + " (" + clip(code, 80) + ")"
}

// describeFile says what the tab was sent to, when that is no page.
func (v *visitor) describeFile(doc document) string {
	kind := clip(doc.mime, 80)
	if kind == "" {
		kind = "of unknown type"
	}
	if n, err := strconv.ParseInt(doc.length, 10, 64); err == nil && n >= 0 {
		kind += ", " + strconv.FormatInt(n, 10) + " bytes"
	}
	what := "a file"
	if strings.HasPrefix(doc.mime, "application/pdf") {
		what = "a PDF"
	}
	return fmt.Sprintf("%s is %s (%s) and no page; nothing was downloaded", clip(doc.url, maxURL), what, kind)
}

// clip cuts text to at most limit bytes and says so with its last sign.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := max(limit-len("…"), 0)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// quote is text between quotes, on one line, its invisible signs written out.
func quote(text string, limit int) string { return strconv.Quote(clip(text, limit)) }
