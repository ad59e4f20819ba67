package claw

import "fmt"

// Tier is how much say the user has in a call. The zero Tier asks, so a rule that
// was never written cannot let a call pass.
type Tier int

// From the strictest: ask a human first; run and tell; run.
const (
	Ask Tier = iota
	Notify
	Auto
)

// String returns the name of the tier's list in the configuration.
func (t Tier) String() string {
	switch t {
	case Auto:
		return "autoApprove"
	case Notify:
		return "notify"
	default:
		return "requireApproval"
	}
}

// MarshalText writes the tier's name.
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the tier's name.
func (t *Tier) UnmarshalText(text []byte) error {
	for _, v := range []Tier{Ask, Notify, Auto} {
		if v.String() == string(text) {
			*t = v
			return nil
		}
	}
	return fmt.Errorf("unknown tier %q, want requireApproval, notify or autoApprove", text)
}
