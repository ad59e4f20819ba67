package config

import (
	"encoding/base64"
	"fmt"
	"log/slog"
)

// redacted stands wherever a secret would be printed.
const redacted = "[redacted]"

// Secret is a text that must not be seen. Every way of printing it gives "[redacted]"; only
// [Secret.Reveal] gives the text. The zero Secret is absent.
type Secret string

// Reveal returns the text itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

// Hint is what a user may see to tell two secrets apart: the last four characters of a long one.
func (s Secret) Hint() string {
	switch {
	case s == "":
		return "not set"
	case len(s) < 16:
		return redacted
	default:
		return "…" + string(s[len(s)-4:])
	}
}

// String hides it.
func (s Secret) String() string { return redacted }

// GoString hides it from %#v.
func (s Secret) GoString() string { return redacted }

// Format hides it from every verb: %x and %q would go around String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides it from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides it from every encoder that knows texts.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON hides it.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML hides it.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// material is the number of secret bytes in a key: of its decoded form when it is base64 or hex.
func (s Secret) material() int {
	n := len(s)
	if data, err := base64.StdEncoding.DecodeString(string(s)); err == nil {
		n = len(data)
	} else if data, err := base64.RawURLEncoding.DecodeString(string(s)); err == nil {
		n = len(data)
	}
	return n
}

// distinct counts the different bytes; "aaaa…" is long and no key.
func (s Secret) distinct() int {
	seen := map[byte]bool{}
	for i := range len(s) {
		seen[s[i]] = true
	}
	return len(seen)
}

// Secrets is the content of .env.
type Secrets struct {
	TelegramBotToken Secret
	AllowedUserIDs   []int64 // empty: nobody
	TelegramAPIURL   string  // no secret; empty: Telegram's own server
	AnthropicAPIKey  Secret
	OpenAIAPIKey     Secret
	CapabilitySecret Secret // at least 32 bytes; capability tokens are signed with a key made from it
	OAuthKey         Secret // at least 32 bytes; seals the vault of OAuth tokens
}

// Known lists the text of every secret that is set, for whoever redacts.
func (s Secrets) Known() []string {
	var all []string
	for _, v := range []Secret{s.TelegramBotToken, s.AnthropicAPIKey, s.OpenAIAPIKey, s.CapabilitySecret, s.OAuthKey} {
		if v != "" {
			all = append(all, v.Reveal())
		}
	}
	return all
}
