package memory

import "testing"

// What differs in one small word is two memories.
func TestNotAlike(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		want bool
	}{
		"the same":                 {"Prefers dark mode.", "prefers  Dark mode", true},
		"fillers":                  {"The user likes tea with milk", "I really like tea with milk", true},
		"a harmless word more":     {"prefers dark mode in every editor", "prefers dark mode in every code editor", true},
		"an article":               {"The user owns a red car. A dog too", "The user owns red car. Dog too", true},
		"another letter":           {"My friend Ann's blood type is A positive", "My friend Ann's blood type is B positive", false},
		"a letter and nothing":     {"The user is in team A now", "The user is in team now", false},
		"a letter and a numeral":   {"Ann is in the group A of the study", "Ann is in the group I of the study", false},
		"Roman numerals":           {"My sister Maria has type I diabetes", "My sister Maria has type II diabetes", false},
		"a longer numeral":         {"The novel King Charles I was read", "The novel King Charles III was read", false},
		"a denial typed in haste":  {"The user has paid the rent for March", "The user hasnt paid the rent for March", false},
		"a denial with apostrophe": {"The user has paid the rent for March", "The user hasn’t paid the rent for March", false},
		"only in part":             {"The user has paid the rent for March", "The user partly paid the rent for March", false},
		"a number word":            {"Ann owes Bob exactly fifty euros today", "Ann owes Bob exactly fifty million euros today", false},
		"a number word before":     {"The flight to Rome leaves at gate five", "The flight to Rome leaves at gate twenty five", false},
		"taken back":               {"Ann is allergic to nuts, milk and eggs", "Ann is allergic to nuts, milk and eggs: false", false},
		"who owes whom":            {"Ann owes Bob ten euros", "Bob owes Ann ten euros", false},
		"another currency":         {"pays 50 € for the gym", "pays 50 $ for the gym", false},
		"another version":          {"uses Go 1.24 at work", "uses Go 1.25 at work", false},
		"a sign":                   {"It is -5 degrees there", "It is 5 degrees there", false},
		"a date":                   {"born on 2001-02-03 in Rome", "born on 2001-03-02 in Rome", false},
		"German":                   {"Der Nutzer isst morgens gern Fleisch", "Der Nutzer isst morgens kaum gern Fleisch", false},
		"German, not any more":     {"Der Nutzer raucht am Abend gern", "Der Nutzer raucht am Abend nicht gern", false},
		"French":                   {"L'utilisateur mange du fromage bleu le soir", "L'utilisateur ne mange pas du fromage bleu le soir", false},
		"French, colloquial":       {"Il mange avec sa fille du fromage", "Il mange avec sa fille jamais du fromage", false},
		"French, without":          {"Le client boit son café chaud et sucre", "Le client boit son café sans chaud et sucre", false},
		"Spanish, never":           {"El usuario come carne con su familia", "El usuario jamás come carne con su familia", false},
		"Spanish":                  {"El usuario come carne con su familia", "El usuario come apenas carne con su familia", false},
		"Arabic":                   {"المستخدم يُحِبّ القهوة كل صباح", "المستخدم لا يحب القهوة كل صباح", false},
		"Arabic vowel signs":       {"المستخدم يُحِبّ القهوة", "المستخدم يحب القهوة", true},
		"Chinese":                  {"用户喜欢喝绿茶和咖啡", "用户不喜欢喝绿茶和咖啡", false},
	} {
		for _, pair := range [][2]string{{tc.a, tc.b}, {tc.b, tc.a}} {
			if got := alike(pair[0], pair[1]); got != tc.want {
				t.Errorf("%s: alike(%q, %q) = %v, want %v", name, pair[0], pair[1], got, tc.want)
			}
		}
		if same := gist(tc.a) == gist(tc.b); same && !tc.want {
			t.Errorf("%s: the gists of %q and %q are the same", name, tc.a, tc.b)
		}
	}
}
