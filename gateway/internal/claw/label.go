package claw

import (
	"fmt"
	"slices"
)

// Integrity says how far content can be trusted to be what the user wants. The zero value trusts least.
type Integrity int

// From the worst: written by strangers; the user's own files and accounts; the user's own words.
const (
	External Integrity = iota
	Owned
	ByUser
)

var integrityNames = [...]string{"external", "owned", "user"}

// Privacy says who may learn content. The zero value keeps it private.
type Privacy int

// Private content may not leave; public content may.
const (
	Private Privacy = iota
	Public
)

var privacyNames = [...]string{"private", "public"}

// MaxSources is how many sources a label names; past it, [MoreSources] stands for the rest.
const MaxSources = 32

// MoreSources is the source that says that there were more than a label holds.
const MoreSources = "…"

// Label is what is known of a piece of content: integrity, privacy, and the sources that set
// them. The zero Label is the worst one, external and private.
type Label struct {
	Integrity Integrity `json:"integrity"`
	Privacy   Privacy   `json:"privacy"`
	// Sources is sorted and without repetition.
	Sources []string `json:"sources,omitempty"`
}

// Join is the label of content that was made from both: the worse of each, and all sources. It is
// commutative, associative and idempotent, so a context's label does not depend on the order of reading.
func (l Label) Join(m Label) Label {
	return Label{
		Integrity: min(l.Integrity, m.Integrity),
		Privacy:   min(l.Privacy, m.Privacy),
		Sources:   joinSources(l.Sources, m.Sources),
	}
}

func joinSources(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	more := slices.Contains(all, MoreSources)
	all = slices.DeleteFunc(all, func(s string) bool { return s == MoreSources })
	if len(all) > MaxSources {
		all, more = all[:MaxSources], true
	}
	if more {
		all = append(all, MoreSources)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// UserLabel is the label of the user's own words on a channel.
func UserLabel() Label { return Label{Integrity: ByUser, Privacy: Private} }

// String says it in words for cards and pages.
func (l Label) String() string {
	return fmt.Sprintf("%s, %s", integrityNames[clamp(int(l.Integrity), 2)], privacyNames[clamp(int(l.Privacy), 1)])
}

// MarshalText writes the name.
func (i Integrity) MarshalText() ([]byte, error) {
	return []byte(integrityNames[clamp(int(i), 2)]), nil
}

// UnmarshalText reads the name.
func (i *Integrity) UnmarshalText(text []byte) error {
	n := slices.Index(integrityNames[:], string(text))
	if n < 0 {
		return fmt.Errorf("unknown integrity %q", text)
	}
	*i = Integrity(n)
	return nil
}

// MarshalText writes the name.
func (p Privacy) MarshalText() ([]byte, error) { return []byte(privacyNames[clamp(int(p), 1)]), nil }

// UnmarshalText reads the name.
func (p *Privacy) UnmarshalText(text []byte) error {
	n := slices.Index(privacyNames[:], string(text))
	if n < 0 {
		return fmt.Errorf("unknown privacy %q", text)
	}
	*p = Privacy(n)
	return nil
}

// clamp maps a value that no constant names to the worst one.
func clamp(n, top int) int {
	if n < 0 || n > top {
		return 0
	}
	return n
}
