package memory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The sizes of one memory, and how many a person may have.
const (
	maxContent  = 4 << 10 // bytes
	maxCategory = 32      // runes
	maxTags     = 8       // of one call
	maxKeptTags = 32      // of one memory, which has those of all that was merged
	maxTag      = 48      // runes
	MaxOwned    = 200_000
)

// The categories that mean something to this package.
const (
	defaultCategory = "note"
	// CategoryProfile is what a model should always know of its user.
	CategoryProfile = "profile"
)

// CleanContent is a text with all that does not show taken out: controls, changes of direction, widths of
// zero. Lines stay. What two people see as the same text is then the same, and nothing hides in it.
func CleanContent(text string) (string, error) {
	text = strings.TrimSpace(visible(text, true))
	switch {
	case text == "":
		return "", errors.New("content is empty")
	case len(text) > maxContent:
		return "", fmt.Errorf("content has %d bytes, the most is %d; save one fact at a time, in short", len(text), maxContent)
	}
	return text, nil
}

func cleanCategory(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(visible(text, false)))
	if text == "" {
		return defaultCategory, nil
	}
	if utf8.RuneCountInString(text) > maxCategory {
		return "", fmt.Errorf("category is longer than %d characters; use one word", maxCategory)
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '-' && r != '_' {
			return "", fmt.Errorf("category %q is not one word of letters, digits, - and _", text)
		}
	}
	return text, nil
}

func cleanTags(tags []string) ([]string, error) {
	var out []string
	for _, tag := range tags {
		tag = strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(visible(tag, false), ",", " ")), " "))
		if utf8.RuneCountInString(tag) > maxTag {
			return nil, fmt.Errorf("a tag is longer than %d characters", maxTag)
		}
		if tag != "" && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	if len(out) > maxKeptTags {
		return nil, fmt.Errorf("there are %d tags, the most is %d", len(out), maxKeptTags)
	}
	return out, nil
}

// visible drops what is not drawn as itself. A joiner is not either: a family of one picture becomes its
// people, which costs less than words that hide between letters.
func visible(text string, lines bool) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(strings.ToValidUTF8(text, "\ufffd"))
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Other_Default_Ignorable_Code_Point) || r == '\u2800' || isNonEmojiSelector(r):
			return -1
		}
		return r
	}, text))
}

// isNonEmojiSelector leaves the one variation selector that makes a sign a picture.
func isNonEmojiSelector(r rune) bool {
	return unicode.Is(unicode.Variation_Selector, r) && r != '\ufe0f'
}
