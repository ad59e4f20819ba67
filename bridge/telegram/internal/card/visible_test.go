package card

import (
	"strings"
	"testing"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"all of ASCII: !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ 09 AZ az": "",
		"Größe, naïve, Łódź, ﬁ":                                     "",
		"привет мир, Ελλάδα":                                        "",
		"漢字、かな。한글 （全角）！":                                            "",
		"नमस्ते, ไทย":                                               "",
		"שלום עולם":                                                 "",
		"😀 ⚠\ufe0f 👍🏽 🇩🇪":                                           "",
		"a – b — c “d” …":                                           "",
		"/home/anna/Документы":                                      "",
		"--title=Привет":                                            "",

		"tab\there":                              "tab⇥here",
		"‹":                                      "‹U+2039›",
		"⇥":                                      "‹U+21E5›",
		"a\nb":                                   "a‹U+000A›b",
		"a\x00\x1b\x7f\u0085b":                   "a‹U+0000›‹U+001B›‹U+007F›‹U+0085›b",
		"a\u202e\u2066\u200e\u061cb":             "a‹U+202E›‹U+2066›‹U+200E›‹U+061C›b",
		"a\u200b\u200c\u200d\u2060\ufeff\u00adb": "a‹U+200B›‹U+200C›‹U+200D›‹U+2060›‹U+FEFF›‹U+00AD›b",
		"\u3164\u115f\u2800\u034f\ufffc":         "‹U+3164›‹U+115F›‹U+2800›‹U+034F›‹U+FFFC›",
		"a\u00a0b\u3000c\u2003d":                 "a‹U+00A0›b‹U+3000›c‹U+2003›d",
		"\U000e0041\U000e0042\ue000\ufffd":       "‹U+E0041›‹U+E0042›‹U+E000›‹U+FFFD›",
		"a\ufe0fb😀\U000e0101":                    "a‹U+FE0F›b😀‹U+E0101›",
		"👩\u200d🚀":                               "👩‹U+200D›🚀",
		"e\u0301 a\u030a \u093f":                 "e‹U+0301› a‹U+030A› ‹U+093F›",
		"a\xffb":                                 "a‹U+FFFD›b",
		" a ":                                    "‹U+0020›a‹U+0020›",
		"a" + strings.Repeat(" ", 41) + "b":      "a‹U+0020 ×41›b",
		"\u200b\u200b\u200b":                     "‹U+200B ×3›",
		"раypal.com":                             "‹U+0440›‹U+0430›ypal.com",
		"аррӏе.com":                              "‹U+0430›‹U+0440 ×2›‹U+04CF›‹U+0435›.com",
		"https://аррӏе/x":                        "https://‹U+0430›‹U+0440 ×2›‹U+04CF›‹U+0435›/x",
		"anna@exаmple.com":                       "anna@ex‹U+0430›mple.com",
		"/etс/passwd":                            "/et‹U+0441›/passwd",
		"/home/Οι/x":                             "/home/‹U+039F›‹U+03B9›/x",
		"gοοgle":                                 "g‹U+03BF ×2›gle",
		"ɡoogle":                                 "‹U+0261›oogle",
		"ｒｍ 𝐫𝐦 ①":                                "‹U+FF52›‹U+FF4D› ‹U+1D42B›‹U+1D426› ‹U+2460›",
		"a\u2044b\u2024c\uff0fd\u037ee":          "a‹U+2044›b‹U+2024›c‹U+FF0F›d‹U+037E›e",
		"rm שלום":                                "rm ‹U+05E9›‹U+05DC›‹U+05D5›‹U+05DD›",
		"\u2028\u2029":                           "‹U+2028›‹U+2029›",
		"‹U+0041›":                               "‹U+2039›U+0041›",
		"\u0430 a":                               "а a", // a word of its own: prose
	} {
		if want == "" {
			want = in
		}
		if got := visible(in, false); got != want {
			t.Errorf("visible(%+q):\n got %+q\nwant %+q", in, got, want)
		}
	}
	if got := visible("  a", true); got != "  a" {
		t.Errorf("the indent of a line in a block became %q", got)
	}
}

func TestCutLeavesMarksWhole(t *testing.T) {
	text := visible(strings.Repeat("a\u202e", 20), false)
	for most := 1; most < len(text); most++ {
		got := cut(text, most)
		if strings.Count(got, "‹") != strings.Count(got, "›") {
			t.Errorf("cut(%q, %d) = %q", text, most, got)
		}
	}
	if got := cut("abc", 3); got != "abc" {
		t.Errorf("cut leaves %q of what fits", got)
	}
	if got := cut("abcd", 3); got != "ab…" {
		t.Errorf("cut(abcd, 3) = %q", got)
	}
}

func TestData(t *testing.T) {
	id, digest := strings.Repeat("0a", 16), strings.Repeat("b1", 32)
	for _, verb := range []byte{Approve, Deny, DenyWhy} {
		data := Data(verb, id, digest)
		v, approval, short, ok := ParseData(data)
		if len(data) > 64 || !ok || v != verb || approval != id || short != digest[:16] {
			t.Errorf("ParseData(%q) = %c %s %s %t", data, v, approval, short, ok)
		}
	}
	good := Data(Approve, id, digest)
	for _, bad := range []string{"", "a", good[1:], good + " ", " " + good, good + "0", strings.ToUpper(good), "x" + good[1:], strings.Replace(good, ":", "-", 1),
		good[:len(good)-1] + "g", good[:len(good)-1], strings.Replace(good, "0a", "0A", 1), "a:" + id + ":" + digest, "a::", good + "\n", "a:" + id[1:] + ":" + digest[:17]} {
		if verb, approval, short, ok := ParseData(bad); ok || verb != 0 || approval != "" || short != "" {
			t.Errorf("ParseData(%q) = %c %q %q %t, want nothing", bad, verb, approval, short, ok)
		}
	}
	for _, bad := range []string{Data('x', id, digest), Data(0, id, digest), Data(Approve, id[1:], digest), Data(Approve, id, digest[:16]), Data(Approve, id, strings.ToUpper(digest)), Data(Approve, "", "")} {
		if bad != "" {
			t.Errorf("Data of nothing = %q", bad)
		}
	}
}

// What is read is what would be written, and nothing else is read.
func FuzzParseData(f *testing.F) {
	f.Add(Data(Approve, strings.Repeat("0a", 16), strings.Repeat("b1", 32)))
	f.Add("a:b:c")
	f.Fuzz(func(t *testing.T, data string) {
		verb, approval, short, ok := ParseData(data)
		if ok && Data(verb, approval, short+strings.Repeat("0", 48)) != data {
			t.Errorf("ParseData(%q) = %c %q %q", data, verb, approval, short)
		}
	})
}
