package entity

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// link writes the text of a link. Only an address that Telegram takes and that says plainly where it
// leads becomes one; any other stands behind the text as code.
func (r *renderer) link(address string, text func()) {
	r.flush(true)
	start := len(r.buf)
	address = strings.TrimSpace(address)
	host, safe := linkable(address)
	if !safe {
		text()
		if shown := string(r.buf[start:]); address != "" && strings.TrimSpace(shown) != address {
			r.writer.text(" (")
			r.code(address)
			r.writer.text(")")
		}
		return
	}
	r.styled(span{kind: TextLink, url: address}, text)
	if shown := string(r.buf[start:]); !names(shown, host) || seemsElsewhere(shown, host) {
		r.writer.text(" (" + host + ")")
	}
}

// maxURL is the longest address of a link that browsers and Telegram agree on.
const maxURL = 2000

var (
	hostForm = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// linkable returns the host of an address that may be a link. Telegram refuses a whole message for
// one address without a dot in its host. A user name before the host, as in
// https://bank.example@evil.example, has no use but to deceive; letters beyond ASCII in the host can.
func linkable(address string) (host string, ok bool) {
	if len(address) > maxURL || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\\"<>^`{|}", r) }) {
		return "", false
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host = strings.ToLower(u.Hostname())
	if !hostForm.MatchString(host) || u.Host != u.Hostname() && (u.Port() == "" || len(u.Port()) > 5 || u.Port() > "65535" && len(u.Port()) == 5 || u.Port()[0] == '0') {
		return "", false
	}
	return host, true
}

// names reports whether the text of a link is its own host, or its address. A text that is anything else ("✅ Approve
// once") says nothing of where it leads.
func names(text, host string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	if i := strings.IndexAny(text, "/?#:"); i >= 0 {
		text = text[:i]
	}
	return bare(text) == bare(host)
}

// seemsElsewhere reports whether the text of a link holds what a reader may take for another host:
// a word with a dot, or with a character that looks like one, before a letter.
func seemsElsewhere(text, host string) bool {
	text, _ = clean(strings.ToLower(text))
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()[]<>"',;|`, r) }) {
		if _, rest, ok := strings.Cut(word, "://"); ok {
			word = rest
		}
		if i := strings.IndexAny(word, "/?#\\"); i >= 0 {
			word = word[:i]
		}
		if i := strings.LastIndexByte(word, '@'); i >= 0 {
			word = word[i+1:]
		}
		name, _, _ := strings.Cut(word, ":")
		name = strings.TrimRight(name, ".!?…")
		i := strings.IndexFunc(name, isDot)
		if i > 0 && strings.ContainsFunc(name[i:], unicode.IsLetter) && bare(name) != bare(host) {
			return true
		}
	}
	return false
}

func isDot(r rune) bool { return strings.ContainsRune(".․。．｡·", r) }

func bare(host string) string { return strings.TrimPrefix(host, "www.") }
