package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// sizeUnits are the only units of a size. Powers of 1024 alone: who writes "1MB" means either, so
// it is refused rather than guessed.
var sizeUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseBytes reads "256MiB", "64KiB" or a plain number of bytes.
func ParseBytes(text string) (Bytes, error) {
	digits, unit := text, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		return 0, fmt.Errorf("%q is not a size; write a whole number with B, KiB, MiB, GiB or TiB, like 256MiB", text)
	}
	if int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("size %s is too large", text)
	}
	return Bytes(int64(n) * unit), nil
}

// String writes the largest unit that needs no fraction.
func (b Bytes) String() string {
	for _, u := range sizeUnits {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return "0B"
}

// MarshalText writes it as in the configuration.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalYAML reads it strictly.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) (err error) {
	*b, err = ParseBytes(node.Value)
	return err
}

// ParseDuration reads "90s", "30m" or "1h30m".
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || text == "0" || strings.HasPrefix(text, "+") {
		return 0, fmt.Errorf("%q is not a duration; write numbers with ms, s, m or h, like 90s or 1h30m", text)
	}
	return Duration(d), nil
}

// String writes it without zero parts: 1h30m, not 1h30m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}

// MarshalText writes it as in the configuration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalYAML reads it strictly.
func (d *Duration) UnmarshalYAML(node *yaml.Node) (err error) {
	*d, err = ParseDuration(node.Value)
	return err
}

// UnmarshalYAML reads one pattern or a list of them; numbers and booleans keep the text they were written as.
func (p *Patterns) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*p = Patterns{node.Value}
		return nil
	}
	for _, item := range node.Content {
		*p = append(*p, item.Value)
	}
	return nil
}
