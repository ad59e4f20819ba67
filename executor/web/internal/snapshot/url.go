package snapshot

import (
	"fmt"
	"net/url"
	"strings"
)

const maxShown = 200 // bytes of a URL in the tree

// resolve is a URL of a page as an absolute one.
func resolve(base, ref string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	u, err := b.Parse(strings.TrimSpace(ref))
	if err != nil {
		return ref
	}
	return u.String()
}

// place is where a URL leads, without what changes from call to call: query and fragment.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path + u.Opaque
}

// shortURL writes a URL for the tree of the page at base: as a path on the same site, as a fragment
// on the same page, else with its host, without https.
func shortURL(base, raw string) string {
	scheme, _, found := strings.Cut(raw, ":")
	switch {
	case raw == "":
		return ""
	case found && (scheme == "javascript" || scheme == "data" || scheme == "blob"):
		return "(" + scheme + ")"
	}
	page, fragment, has := strings.Cut(raw, "#")
	here, _, _ := strings.Cut(base, "#")
	if has && page == here {
		return visibleURL("#"+fragment, maxShown)
	}
	if origin := originOf(base); origin != "" && (strings.HasPrefix(raw, origin+"/")) {
		return visibleURL(raw[len(origin):], maxShown)
	}
	return visibleURL(strings.TrimPrefix(raw, "https://"), maxShown)
}

func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// visibleURL writes everything but the plain characters of a URL in percent form, and cuts it.
func visibleURL(raw string, limit int) string {
	var b strings.Builder
	for i := range len(raw) {
		if b.Len() > limit-3 {
			b.WriteString("…")
			break
		}
		switch c := raw[i]; {
		case c <= ' ' || c > '~' || strings.IndexByte(`"\[]<>|`, c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
