package snapshot

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain":                               {"Hello, world!", "Hello, world!"},
		"other scripts":                       {"Привет, 世界, שלום, مرحبا", "Привет, 世界, שלום, مرحبا"},
		"line breaks and tabs":                {"a\nb\r\nc\td", "a b  c d"},
		"other breaks":                        {"a\u2028b\u2029c\u0085d\vd", "a‹U+2028›b‹U+2029›c‹U+0085›d‹U+000B›d"},
		"blanks of other widths":              {"a\u00a0b\u3000c\u2003d", "a b c d"},
		"control":                             {"a\x00b\x1b[31mc\x7f\u009b", "a‹U+0000›b‹U+001B›[31mc‹U+007F›‹U+009B›"},
		"bidi":                                {"a\u202eb\u2066c\u200fd\u061c", "a‹U+202E›b‹U+2066›c‹U+200F›d‹U+061C›"},
		"zero width in a row":                 {"a\u200b\u200b\u200bb\u200c\ufeff\u2060\u2063", "a‹U+200B ×3›b‹U+200C›‹U+FEFF›‹U+2060›‹U+2063›"},
		"soft hyphen":                         {"co\u00adop", "co‹U+00AD›op"},
		"tags":                                {"x\U000e0041\U000e0042", "x‹U+E0041›‹U+E0042›"},
		"the flag of Scotland":                {"\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"},
		"a flag that goes on":                 {"\U0001f3f4\U000e0067\U000e0062", "\U0001f3f4‹U+E0067›‹U+E0062›"},
		"family":                              {"👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"},
		"heart in colour":                     {"❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"},
		"joiner between letters":              {"pass\u200dword", "pass‹U+200D›word"},
		"joiners of Persian":                  {"می\u200cخواهم", "می\u200cخواهم"},
		"joiners of Hindi":                    {"क्\u200dष", "क्\u200dष"},
		"selectors as data":                   {"😀\U000e0100\U000e0101\ufe00", "😀‹U+E0100›‹U+E0101›‹U+FE00›"},
		"a selector behind a selector":        {"❤\ufe0f\ufe0f", "❤\ufe0f‹U+FE0F›"},
		"a marked selector and a joiner":      {"a\ufe0f\u200d🔥", "a‹U+FE0F›‹U+200D›🔥"},
		"private use":                         {"\ue000\U000f0000", "‹U+E000›‹U+F0000›"},
		"fillers":                             {"\u3164\u115f\uffa0\u2800\u034f", "‹U+3164›‹U+115F›‹U+FFA0›‹U+2800›‹U+034F›"},
		"accents":                             {"e\u0301 a\u0323\u0302", "e\u0301 a\u0323\u0302"},
		"zalgo":                               {"Z" + strings.Repeat("\u0301", 40) + "!", "Z\u0301\u0301\u0301\u0301‹U+0301 ×36›!"},
		"bytes that are no text":              {"a\xff\xedb\xed\xa0\x80", "a\ufffd\ufffdb\ufffd\ufffd\ufffd"},
		"our own mark is left alone":          {"‹U+202E› ‹x›", "‹U+202E› ‹x›"},
		"object replacement, not a character": {"\ufffc\uffff", "‹U+FFFC›‹U+FFFF›"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clean(tc.text, 1000); got != tc.want {
				t.Errorf("Clean(%+q) = %+q, want %+q", tc.text, got, tc.want)
			}
		})
	}
}

func TestCleanCuts(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"no room":                {"abc", 0, ""},
		"no room for the sign":   {"abc", 2, ""},
		"exact":                  {"abcdef", 6, "abcdef"},
		"one too long":           {"abcdefg", 6, "abc…"},
		"not within a character": {"aaéé", 5, "aa…"},
		"not within a mark":      {"ab\u202ecd", 9, "ab…"},
		"not behind a joiner":    {"👨\u200d👩", 10, "👨…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Clean(tc.text, tc.limit); got != tc.want {
				t.Errorf("Clean(%+q, %d) = %+q, want %+q", tc.text, tc.limit, got, tc.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "a\u202eb", "👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "क्\u200dष", "Z\u0301\u0301\u0301\u0301\u0301\u200d\u0301",
		"\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "\xed\xa0\x80", "a\n\r\t\u0085\u2028"} {
		for _, limit := range []int{0, 3, 10, 1000} {
			f.Add(seed, limit)
		}
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = min(max(limit, 0), 1<<16)
		got := Clean(text, limit)
		checkClean(t, got, limit)
		if again := Clean(got, limit); again != got {
			t.Errorf("Clean(Clean(%+q, %d)) = %+q, want %+q", text, limit, again, got)
		}
	})
}

// checkClean fails when text has what nobody sees, outside of the few places where it is part of a
// character. It knows those by their own rules, not by those of the code.
func checkClean(t *testing.T, text string, limit int) {
	t.Helper()
	if len(text) > limit {
		t.Errorf("%d bytes, want at most %d", len(text), limit)
	}
	if !utf8.ValidString(text) {
		t.Errorf("%+q is not valid UTF-8", text)
	}
	runes := []rune(text)
	marks := 0
	for i, r := range runes {
		before, after := rune(0), rune(0)
		if i > 0 {
			before = runes[i-1]
		}
		if i+1 < len(runes) {
			after = runes[i+1]
		}
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
			if marks++; marks > maxStack+1 { // a selector behind a symbol counts as none of them
				t.Errorf("%+q: %d combining marks in a row", text, marks)
			}
		case r != zwj && r != zwnj:
			marks = 0
		}
		if r == 0x200d && before > 0xff && after > 0xff || r == 0x200c && before > 0x5ff && after > 0x5ff {
			continue
		}
		if (r == 0xfe0e || r == 0xfe0f) && before != 0 && !unicode.IsLetter(before) {
			continue
		}
		if strings.ContainsRune("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd", r) {
			continue
		}
		if r >= 0xe0061 && r <= 0xe007f && strings.ContainsRune(text, 0x1f3f4) {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Variation_Selector) || r != ' ' && unicode.IsSpace(r) {
			t.Errorf("%+q holds %U", text, r)
		}
	}
}
