package agent

import (
	"context"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/domain"
)

// This file answers [gate.Call.Quoted]: did these words come from the user or as a link from a page, or
// did the model make them up? Made-up words may hold what the conversation has read. Whatever is found
// here was there before the model chose it, so to pick one says next to nothing; to add a letter to
// one is to make up another.

// Bounds of what is looked at, from the newest turn on: a question about a call may not take long.
const (
	maxSaid   = 2 << 20 // bytes of the user's words
	maxPages  = 8 << 20 // bytes of results
	maxQuotes = 200_000 // spellings of addresses
	maxInWord = 4       // addresses in one word
)

// maxQuotedTurns is how many turns are looked at, summed up or not.
const maxQuotedTurns = 400

// saidUpto are the turns of a conversation that were there when the model was asked. Those that cannot
// be read say nothing: what was in them was made up.
func (a *Agent) saidUpto(ctx context.Context, session claw.SessionID, upto int) []claw.Turn {
	turns, first, err := a.o.History.TurnsAfter(context.WithoutCancel(ctx), session, 0, maxQuotedTurns)
	if err != nil {
		a.o.Log.Warn("what was said is not known", "session", session, "err", err)
		return nil
	}
	return turns[:max(0, min(len(turns), upto-first+1))]
}

// quotedIn answers for one conversation. It reads nothing before it is asked.
func quotedIn(turns func() []claw.Turn) func(text string) bool {
	read := sync.OnceValue(func() *quotes { return readQuotes(turns()) })
	return func(text string) bool { return text != "" && utf8.ValidString(text) && read().has(text) }
}

// quotes are the words of a user, and the addresses in them and in the pages that were read, in the
// one form of package domain.
type quotes struct {
	said      []string
	addresses map[string]bool
	tried     int
}

func readQuotes(turns []claw.Turn) *quotes {
	q := &quotes{addresses: map[string]bool{}}
	said, pages := 0, 0
	for i := len(turns) - 1; i >= 0; i-- {
		t := turns[i]
		if t.Role != claw.User {
			continue
		}
		if said += len(t.Text); t.Text != "" && said <= maxSaid {
			q.said = append(q.said, t.Text)
			q.addressesIn(t.Text)
		}
		for _, r := range t.Results {
			if pages += len(r.Content); i > 0 && pages <= maxPages {
				q.linksOf(turns[i-1].Calls, r)
			}
		}
	}
	return q
}

func (q *quotes) has(text string) bool {
	for _, spelling := range []string{text, "https://" + text} {
		if u, err := domain.ParseURL(spelling); err == nil && q.addresses[u.Text] {
			return true
		}
	}
	for _, said := range q.said {
		if wordForWord(said, text) {
			return true
		}
	}
	return false
}

// add takes an address in any spelling that package domain reads.
func (q *quotes) add(address string) {
	if q.tried++; q.tried > maxQuotes {
		return
	}
	u, err := domain.ParseURL(address)
	if err != nil {
		return
	}
	q.addresses[u.Text] = true
	if page, _, ok := strings.Cut(u.Text, "#"); ok { // the same page
		q.addresses[page] = true
	}
}

// addressesIn adds what a reader takes for an address: with https:// or http:// in front (the latter
// is opened as https), or a name with a dot and what follows it.
func (q *quotes) addressesIn(text string) {
	for _, word := range strings.FieldsFunc(text, endsWord) {
		schemes := 0
		for from := 0; schemes < maxInWord; {
			at := strings.Index(word[from:], "://")
			if at < 0 {
				break
			}
			at += from
			from = at + len("://")
			for _, scheme := range []string{"https", "http"} {
				if start := at - len(scheme); start >= 0 && strings.EqualFold(word[start:at], scheme) && beginsWord(word, start) {
					schemes++
					q.addSpellings(word[from:])
				}
			}
		}
		if bare := strings.TrimLeft(word, `([*_'~`); schemes == 0 && strings.Contains(bare, ".") && !strings.ContainsAny(bare, "@:") {
			q.addSpellings(bare)
		}
	}
}

func (q *quotes) addSpellings(rest string) {
	if len(rest) > domain.MaxURL {
		return
	}
	for _, s := range spellings(rest) {
		q.add("https://" + s)
	}
}

// endsWord are the characters that no address has as they are.
func endsWord(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>\"{}|\\^`", r)
}

// beginsWord reports whether an address may begin at a byte of a word: not as a part of another one.
func beginsWord(word string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(word[:at])
	return at == 0 || before > unicode.MaxASCII || strings.ContainsRune("([*,;:'", before)
}

// spellings are where an address may end that stands in a sentence or in Markdown: at the end of the
// word, before a bracket, before a mark of another alphabet; and each of these without the marks that
// end a sentence.
func spellings(word string) []string {
	ends := []int{len(word)}
	for _, marks := range []func(rune) bool{
		func(r rune) bool { return r == ')' },
		func(r rune) bool { return r == ']' },
		func(r rune) bool {
			return r > unicode.MaxASCII && unicode.In(r, unicode.Ps, unicode.Pe, unicode.Pi, unicode.Pf, unicode.Po)
		},
	} {
		if at := strings.IndexFunc(word, marks); at >= 0 {
			ends = append(ends, at)
		}
	}
	var out []string
	for _, end := range ends {
		out = append(out, word[:end])
		for rest := word[:end]; len(out) < 20; {
			shorter := strings.TrimRight(rest, ".,;:!?'*_~")
			if shorter = strings.TrimSuffix(shorter, ")"); shorter == rest {
				break
			}
			rest = shorter
			out = append(out, rest)
		}
	}
	return out
}

// wordForWord reports whether text stands in what was said and goes on on neither side.
func wordForWord(said, text string) bool {
	for from := 0; ; {
		at := strings.Index(said[from:], text)
		if at < 0 {
			return false
		}
		at += from
		if !goesOn(&reversed{said[:at]}) && !goesOn(&forward{said[at+len(text):]}) {
			return true
		}
		_, size := utf8.DecodeRuneInString(said[at:])
		from = at + size
	}
}

// goesOn reports whether a word or an address goes on in the text beside it: with a letter, a digit or
// a sign of addresses; or with marks of a sentence that such a character follows.
func goesOn(beside interface{ next() (rune, bool) }) bool {
	for {
		r, ok := beside.next()
		switch {
		case !ok:
			return false
		case unicode.In(r, unicode.L, unicode.M, unicode.N), strings.ContainsRune("-_~/#@&=+%$", r):
			return true
		case !strings.ContainsRune(".,;:!?'()[]*", r):
			return false
		}
	}
}

// forward and reversed read a text rune by rune, from its start and from its end.
type (
	forward  struct{ text string }
	reversed struct{ text string }
)

func (f *forward) next() (rune, bool) {
	r, size := utf8.DecodeRuneInString(f.text)
	f.text = f.text[size:]
	return r, size > 0
}

func (f *reversed) next() (rune, bool) {
	r, size := utf8.DecodeLastRuneInString(f.text)
	f.text = f.text[:len(f.text)-size]
	return r, size > 0
}
