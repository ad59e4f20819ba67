package memory

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTerms(t *testing.T) {
	for text, want := range map[string]string{
		"Likes green tea.":                   "like green tea",
		"Ann's birthday’s cake":              "ann birthday cake",
		"CAFÉ Café ｃａｆé":                     "cafe cafe cafe",
		"Straße, Øre, naïve":                 "strasse ore naive",
		"berries boxes classes bus this gas": "berry box class bus this gas",
		"C3PO at 3.14":                       "c3po at 3 14",
		"مُحَمَّد أحمد الكتاب ـــ":           "محمد احمد كتاب",
		"١٢٣ ۴۵":                             "123 45",
		"שָׁלוֹם":                            "שלום",
		"東京タワー":                              "東 東京 京 京タ タ タワ ワ ワー ー",
		"ﾃｽﾄ":                                "テ テス ス スト ト",
		"서울 여행":                              "서 서울 울 여 여행 행",
		"I ❤️ 🍕👩🏽‍🚀!":                        "i ❤ 🍕 👩 🚀",
		"🇩🇪🇫🇷":                               "🇩🇪 🇫🇷",
		"🇩Germany":                           "🇩 germany",
		`" OR NEAR(a b, 1) ^x* col:y -z {a}`: "or near a b 1 x col y z a",
		"a\x00b\xffc\u200bd":                 "a b cd",
		"\ue000profile":                      "profile",
		"हिन्दी":                             "हिन्दी",
		"":                                   "",
	} {
		var got []string
		for _, tok := range tokens(text, 100) {
			got = append(got, tok.term)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("tokens(%q) (-want +got):\n%s", text, diff)
		}
	}
}

// Whatever a text is, a term is valid UTF-8 without anything that an index or a query could take for syntax,
// and a text of terms has these terms.
func FuzzTerms(f *testing.F) {
	for _, s := range []string{"likes tea", `"a" OR b*`, "東京タワー", "مُحَمَّد", "👩🏽‍🚀🇩🇪", "a\x00\xff", "ß'S's", "\u0345\u0301", "ΐΰ", "กำ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const limit = 200
		toks := tokens(text, limit)
		if len(toks) > limit {
			t.Fatalf("tokens(%q) = %d, want at most %d", text, len(toks), limit)
		}
		for _, tok := range toks {
			if tok.term == "" || !utf8.ValidString(tok.term) || utf8.RuneCountInString(tok.term) > 2*maxTermRunes {
				t.Fatalf("tokens(%q) has the term %q", text, tok.term)
			}
			for _, r := range tok.term {
				if r < utf8.RuneSelf && (r < '0' || r > '9' && r < 'a' || r > 'z') || unicode.IsSpace(r) || r == '\ue000' {
					t.Fatalf("tokens(%q) has the term %q with %q in it", text, tok.term, r)
				}
			}
		}
	})
}

func TestAlike(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		want bool
	}{
		"letter case and signs":       {"The user likes green tea.", "user likes GREEN tea!", true},
		"fillers":                     {"Ann is my sister", "Ann is the user's sister", true},
		"plural":                      {"prefers dark mode in editors", "Prefers dark mode in editor", true},
		"a harmless word more":        {"prefers dark mode in every editor", "prefers dark mode in every code editor", true},
		"one denies":                  {"likes tea", "does not like tea", false},
		"one denies in a long one":    {"Ann eats meat and fish every week", "Ann never eats meat and fish every week", false},
		"contraction":                 {"Ann wants to eat fish every week", "Ann doesn't want to eat fish every week", false},
		"German":                      {"Anna isst gerne Fleisch und Fisch", "Anna isst nicht gerne Fleisch und Fisch", false},
		"a number":                    {"PIN 1234", "PIN 1235", false},
		"a number more":               {"the bike lock opens with 12", "the bike lock opens with 12 34", false},
		"letter case of a code":       {"the wifi password is Hunter2", "the wifi password is hunter2", false},
		"the same code":               {"The wifi password is Hunter2", "wifi password is Hunter2", true},
		"C and C++":                   {"writes C", "writes C++", false},
		"order":                       {"Ann owes Bob money", "Bob owes Ann money", false},
		"another name":                {"Ann lives in Rome with Bob and Eve", "Ann lives in Rome with Bob and Kim", false},
		"an exception":                {"allergic to all kinds of nuts", "allergic to all kinds of nuts except almonds", false},
		"former":                      {"Bob is the boss of Ann at work", "Bob is the former boss of Ann at work", false},
		"ex":                          {"Bob is the wife of Ann at work", "Bob is the ex-wife of Ann at work", false},
		"Chinese":                     {"我喜欢喝绿茶。", "我喜欢喝绿茶", true},
		"Chinese that denies":         {"我喜欢每天早上喝绿茶", "我不喜欢每天早上喝绿茶", false},
		"Arabic with and without":     {"مُحَمَّد يحب الشاي", "محمد يحب الشاي", true},
		"Arabic that denies":          {"محمد يحب الشاي الاخضر في الصباح", "محمد لا يحب الشاي الاخضر في الصباح", false},
		"emoji":                       {"likes 🍕", "likes 🍔", false},
		"nothing but fillers":         {"the user", "my", false},
		"nothing but the same filler": {"the user", "the user", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]string{{tc.a, tc.b}, {tc.b, tc.a}} {
				if got := alike(pair[0], pair[1]); got != tc.want {
					t.Errorf("alike(%q, %q) = %v, want %v", pair[0], pair[1], got, tc.want)
				}
			}
			if same := gist(tc.a) == gist(tc.b); same && !tc.want {
				t.Errorf("gist(%q) is that of %q, and they do not say the same", tc.a, tc.b)
			}
		})
	}
}

func TestCleanContent(t *testing.T) {
	for text, want := range map[string]string{
		"  likes tea \n":           "likes tea",
		"a\r\nb\u2028c\x1b[31md\t": "a\nb\nc[31md",
		"left\u202eright\u200b!":   "leftright!",
		"bad \xff byte":            "bad \ufffd byte",
		"❤️":                       "❤️",
	} {
		if got, err := CleanContent(text); err != nil || got != want {
			t.Errorf("CleanContent(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " \n", "\u200b\u202e", strings.Repeat("a", maxContent+1)} {
		if got, err := CleanContent(text); err == nil {
			t.Errorf("CleanContent(%.20q) = %.20q, want an error", text, got)
		}
	}
}

func TestStopWordsAreStems(t *testing.T) {
	for _, w := range []string{"the", "what", "user", "und", "les"} {
		if want := w != "user"; isStop(w) != want {
			t.Errorf("isStop(%q) = %v, want %v", w, !want, want)
		}
	}
}
