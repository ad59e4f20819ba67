package egress

import (
	"fmt"
	"io"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// Codes of this package; those of requests and names are package domain's, those of addresses stand
// with their ranges.
const (
	codeBadRequest   domain.Code = "bad_request"   // no CONNECT as RFC 9112 writes it
	codeMethod       domain.Code = "method"        // another method
	codeHostMismatch domain.Code = "host_mismatch" // Host says another name than the target
	codeDNSError     domain.Code = "dns_error"     // no answer, or none in time
	codeDNSTooMany   domain.Code = "dns_too_many"  // more addresses than a site has
	codeDialError    domain.Code = "dial_error"    // no address could be reached
	codeNotTLS       domain.Code = "not_tls"       // something else than a ClientHello
	codeBadHello     domain.Code = "bad_hello"     // a ClientHello that parsers could read in two ways
	codeHelloTooBig  domain.Code = "hello_too_big" // more than maxHello
	codeHelloTimeout domain.Code = "hello_timeout" // not complete in time
	codeSNIMissing   domain.Code = "sni_missing"   // names no host
	codeSNIMultiple  domain.Code = "sni_multiple"  // names several
	codeSNIMismatch  domain.Code = "sni_mismatch"  // names another
	codeECH          domain.Code = "ech"           // may hide another name
	codeLimit        domain.Code = "limit"         // more than Limits, or later than the task's deadline
	codeGone         domain.Code = "gone"          // given up by the browser after the DNS was asked
	codeIdle         domain.Code = "idle"          // nothing came for Limits.Idle
)

func refuse(code domain.Code, format string, args ...any) error {
	return &domain.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// proxyError is the error type of RFC 9209 section 2.3 that fits a code, with the status that the
// section gives for it; a refusal of ours is always 403.
func proxyError(code domain.Code) (status, kind string) {
	switch code {
	case codeDNSError, codeDNSTooMany:
		return "502 Bad Gateway", "dns_error"
	case codeDialError:
		return "502 Bad Gateway", "destination_unavailable"
	case codeLimit:
		return "403 Forbidden", "connection_limit_reached"
	case codeBadRequest, codeMethod, codeHostMismatch, codeIdle, domain.CodeBadAuthority:
		return "403 Forbidden", "http_request_error"
	}
	if _, ok := addressCodes[code]; ok {
		return "403 Forbidden", "destination_ip_prohibited"
	}
	return "403 Forbidden", "http_request_denied"
}

// answerTime is how long the browser may take to read an answer.
const answerTime = 5 * time.Second

// answerRefusal tells the browser in HTTP. Nothing of the request comes back to it: a page must not be
// able to make this a document of its own.
func answerRefusal(conn *shutter, code domain.Code) {
	status, kind := proxyError(code)
	conn.expire(time.Now().Add(answerTime))
	// The peer may be gone; then nobody misses the answer.
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\nProxy-Status: secureclaw; error=%s; details=%q\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, kind, code)
}

// answerEstablished says that the ClientHello may come.
func answerEstablished(conn *shutter) error {
	conn.expire(time.Now().Add(answerTime))
	_, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// answerAlert tells the browser's TLS: a fatal access_denied (RFC 8446 section 6.2). Without it
// Chromium takes a closed connection for a bad network, and tries again.
func answerAlert(conn *shutter) {
	conn.expire(time.Now().Add(answerTime))
	_, _ = conn.Write([]byte{recordAlert, 3, 3, 0, 2, 2, 49})
}
