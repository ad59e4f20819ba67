package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// outermost sorts entities so that one comes before what it holds.
func outermost(a, b Entity) int {
	return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Length, a.Length), cmp.Compare(rank(a.Type), rank(b.Type)))
}

// rank is what may hold what: a quote a link, a link bold; code holds nothing.
func rank(kind string) int {
	switch kind {
	case "blockquote", "expandable_blockquote":
		return 0
	case "bold", "italic", "underline", "strikethrough", "spoiler":
		return 2
	}
	return 1
}

func code(kind string) bool { return kind == "code" || kind == "pre" }

// nest makes sorted entities what a phone can show: of quotes, links and code that cross or hold one another the
// first stays, letters are not set in bold or italics within code, and such a style is cut where another
// entity begins or ends. The server may cut a style into fewer pieces; what is seen is the same.
func nest(entities []Entity) []Entity {
	var whole []Entity
	styles := make(map[string][]Entity)
	ends := make(map[int]int)
	for _, e := range entities {
		r := rank(e.Type)
		if r == 2 {
			styles[e.Type] = append(styles[e.Type], e)
			continue
		}
		if e.Offset < ends[r] {
			continue // crosses or is within one of its own kind
		}
		crosses := slices.ContainsFunc(whole, func(o Entity) bool {
			return rank(o.Type) != r && e.Offset < o.Offset+o.Length && e.Offset+e.Length > o.Offset+o.Length
		})
		if crosses || r == 0 && e.Offset < ends[1] {
			continue
		}
		whole = append(whole, e)
		ends[r] = e.Offset + e.Length
	}
	out := slices.Clone(whole)
	for _, parts := range styles {
		for _, part := range joined(parts) {
			out = append(out, cut(part, whole)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Entity) int { return cmp.Or(outermost(a, b), cmp.Compare(a.Type, b.Type)) })
	return out
}

// joined merges parts of one style that touch.
func joined(parts []Entity) []Entity {
	var out []Entity
	for _, p := range parts {
		if n := len(out); n > 0 && p.Offset <= out[n-1].Offset+out[n-1].Length {
			out[n-1].Length = max(out[n-1].Length, p.Offset+p.Length-out[n-1].Offset)
			continue
		}
		out = append(out, p)
	}
	return out
}

// cut divides a style at the ends of others, and leaves out what lies in code.
func cut(style Entity, others []Entity) []Entity {
	end := style.Offset + style.Length
	edges := []int{style.Offset, end}
	for _, o := range others {
		for _, at := range []int{o.Offset, o.Offset + o.Length} {
			if at > style.Offset && at < end {
				edges = append(edges, at)
			}
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var out []Entity
	for i, at := range edges[:len(edges)-1] {
		inCode := slices.ContainsFunc(others, func(o Entity) bool {
			return code(o.Type) && at >= o.Offset && at < o.Offset+o.Length
		})
		if !inCode {
			out = append(out, Entity{Type: style.Type, Offset: at, Length: edges[i+1] - at})
		}
	}
	return out
}

// entities reads a list of entities, as strictly as the server, and drops those that only the server itself sets.
func (tg *Telegram) entities(q *request, name string) ([]Entity, error) {
	raw := q.values[name]
	if raw == "" {
		return nil, nil
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		tg.violation("%s: %s are not a list of objects, so the server ignores them: %.200s", q.method, name, raw)
		return nil, nil
	}
	var out []Entity
	for _, fields := range list {
		body, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("an entity: %w", err)
		}
		for _, need := range []string{"offset", "length", "type"} {
			if _, ok := fields[need]; !ok {
				return nil, wrong("can't parse MessageEntity: Can't find field %q", need)
			}
		}
		var e Entity
		if err := json.Unmarshal(body, &e); err != nil {
			return nil, wrong("can't parse MessageEntity: %v", err)
		}
		keep, err := known(e, fields)
		if err != nil {
			return nil, err
		}
		if keep {
			out = append(out, e)
		}
	}
	return out, nil
}

// known checks an entity's type and what the type needs.
func known(e Entity, fields map[string]json.RawMessage) (keep bool, err error) {
	need := ""
	switch e.Type {
	case "bold", "italic", "underline", "strikethrough", "spoiler", "code", "pre", "blockquote", "expandable_blockquote":
	case "text_link":
		need = "url"
	case "text_mention":
		need = "user"
	case "custom_emoji":
		need = "custom_emoji_id"
	case "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bank_card_number":
		return false, nil // the server finds these by itself
	case "":
		return false, wrong("can't parse MessageEntity: Type is not specified")
	default:
		return false, wrong("can't parse MessageEntity: Unsupported type specified")
	}
	if _, ok := fields[need]; need != "" && !ok {
		return false, wrong("can't parse MessageEntity: Can't find field %q", need)
	}
	if e.Type == "text_link" {
		if why := badLink(e.URL); why != "" {
			return false, wrong("entity URL '%s' is invalid: %s", e.URL, why)
		}
	}
	return true, nil
}

// badLink says what the server has against a link, or nothing.
func badLink(link string) string {
	scheme, rest, ok := strings.Cut(link, "://")
	if !ok {
		if at := strings.IndexAny(link, ":/."); at >= 0 && link[at] == ':' && !digit(link, at+1) {
			return "Unsupported URL protocol" // mailto:, javascript:
		}
		scheme, rest = "http", link
	}
	switch strings.ToLower(scheme) {
	case "tg", "ton", "tonsite":
		return ""
	case "http", "https":
	default:
		return "Unsupported URL protocol"
	}
	host := rest[:len(rest)-len(strings.TrimLeft(rest, "/"))]
	if host != "" {
		return "Wrong HTTP URL"
	}
	host, _, _ = strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	host, _, _ = strings.Cut(host, "#")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	u, err := url.Parse("http://" + host)
	if err != nil || strings.ContainsAny(host, " \t\n\"<>\\^`{|}%") {
		return "Wrong HTTP URL"
	}
	name := u.Hostname()
	if !strings.Contains(name, ".") && !strings.Contains(name, ":") || strings.HasPrefix(name, ".") {
		return "Wrong HTTP URL" // http://localhost, too
	}
	return ""
}

func digit(s string, at int) bool { return at < len(s) && s[at] >= '0' && s[at] <= '9' }
