package task

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// This file guesses from its words alone whether a message asks for several steps. A wrong yes costs one
// question to the model, which may say that no plan is needed; a wrong no costs nothing that the model
// cannot mend with plan_task. Words of others never count: whoever quotes a list of orders gives none.

// maxRead is how much of a message is looked at.
const maxRead = 16 << 10

// Multi reports whether a message asks for several steps: a list of them, a "then" between two, or several
// orders joined by and, comma or semicolon.
func Multi(text string) bool {
	if len(text) > maxRead {
		text = strings.ToValidUTF8(text[:maxRead], "")
	}
	text = ownWords(text)
	listed, orders, joined := 0, 0, false
	for line := range strings.Lines(text) {
		item, isItem := listItem(line)
		found, chain := ordersIn(item)
		if isItem && found > 0 {
			listed++
		}
		orders += found
		joined = joined || chain
	}
	return listed >= 2 || orders >= 3 || joined
}

// GoOn reports whether a message says nothing but to go on; what we say before it, when it comes late, is not its word.
func GoOn(text string) bool {
	if strings.HasPrefix(text, sentLate) {
		_, text, _ = strings.Cut(text, "\n\n")
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
	words = slices.DeleteFunc(words, func(w string) bool { return w == "please" || w == "bitte" || w == "ok" || w == "yes" || w == "ja" })
	return slices.Contains([]string{"go on", "continue", "keep going", "carry on", "weiter", "mach weiter", "weitermachen", "fahre fort"}, strings.Join(words, " "))
}

var (
	fenced   = regexp.MustCompile("(?s)```.*?(?:```|$)")
	quoted   = regexp.MustCompile("`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»")
	bullet   = regexp.MustCompile(`^\s*(?:\d{1,2}[.)]|[a-h]\)|[-*+•–])\s+(?:\[[ xX]?\]\s+)?(\S.*)`)
	sentence = regexp.MustCompile(`[.!?…]+(?:\s+|$)|\n`)
	// sequence joins two orders of which one comes after the other.
	sequence = regexp.MustCompile(`(?i)(?:^|[\s,;.:]+)(?:and\s+|und\s+)?(?:then|after that|afterwards|thereafter|and next|next|finally|lastly|at last|once (?:that|this|it)(?: i|')s done|` +
		`dann|danach|anschließend|hinterher|daraufhin|schließlich|zuletzt|zum schluss|zum schluß|als nächstes|im anschluss)(?:[\s,:]+|$)`)
	// junction joins two orders, or two things of one.
	junction = regexp.MustCompile(`(?i)\s*[;]\s*|\s*,\s*(?:and\s+|und\s+|sowie\s+)?|\s+(?:and|und|sowie|&)\s+(?:also\s+|auch\s+)?`)
	filler   = regexp.MustCompile(`(?i)^(?:please|pls|kindly|also|now|just|first(?:ly)?|second(?:ly)?|third(?:ly)?|ok|okay|hey|hi|hello|so|` +
		`can you|could you|would you|will you|i want you to|i need you to|i'd like you to|you should|help me(?: to)?|let's|lets|to|` +
		`bitte|auch|jetzt|nun|zuerst|zunächst|erst|erstens|zweitens|drittens|als erstes|mal|hallo|kannst du|könntest du|würdest du|du sollst|hilf mir)[\s,:]+`)
	polite = regexp.MustCompile(`(?i)^(?:(?:please|hey|hi|hello|ok|okay|hallo|bitte|so)[\s,]+)*(?:can you|could you|would you|will you|kannst du|könntest du|würdest du)\s`)
)

// sentLate begins what we say before the words of a message that came late.
const sentLate = "(This message was sent "

// ownWords are the user's, without what he quotes, forwards or shows as code.
func ownWords(text string) string {
	text = fenced.ReplaceAllString(text, " … ")
	var lines []string
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		framed := strings.HasPrefix(trimmed, "[") && strings.HasSuffix(trimmed, "]")
		if strings.HasPrefix(trimmed, ">") || framed || strings.HasPrefix(trimmed, sentLate) {
			continue
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return quoted.ReplaceAllString(strings.Join(lines, "\n"), `""`)
}

func listItem(line string) (string, bool) {
	if m := bullet.FindStringSubmatch(line); m != nil {
		return m[1], true
	}
	return line, false
}

// ordersIn counts the orders of a line, and says whether two of them are joined in one sentence or one of
// them is said to come after another.
func ordersIn(line string) (orders int, joined bool) {
	rest := line
	after := false
	for rest != "" {
		part, end := rest, ""
		if at := sentence.FindStringIndex(rest); at != nil {
			part, end, rest = rest[:at[0]], rest[at[0]:at[1]], rest[at[1]:]
		} else {
			rest = ""
		}
		if strings.HasPrefix(end, "?") && !polite.MatchString(strings.TrimSpace(part)) {
			continue // it asks, and orders nothing
		}
		n, chain := ordersOf(part)
		if sequence.MatchString(part) && orders > 0 && n > 0 {
			after = true
		}
		orders += n
		joined = joined || chain
	}
	return orders, joined || after
}

// ordersOf counts the orders of one sentence. That the answer is to be given, in whatever words, is none.
func ordersOf(text string) (orders int, joined bool) {
	for _, stage := range sequence.Split(text, -1) {
		for i, clause := range junction.Split(stage, -1) {
			if isOrder(clause, i > 0) {
				orders++
			}
		}
	}
	return orders, orders >= 2
}

// isOrder reports whether a clause begins with a verb that does something. A strict one must go on like an
// order: behind "and", a word like "test" is as often a noun.
func isOrder(clause string, strictly bool) bool {
	first, next := head(clause)
	if !acting[first] {
		return false
	}
	if !strictly {
		return true
	}
	word := strings.ToLower(strings.Trim(next, `.,;:!?()`))
	return next != "" && (leads[word] || strings.ContainsAny(next, `./\"0123456789@_`) || unicode.IsUpper([]rune(next)[0]))
}

// head is the first word of a clause behind what only leads to it, and the word after it.
func head(clause string) (first, next string) {
	clause = strings.TrimSpace(clause)
	for {
		shorter := strings.TrimLeft(filler.ReplaceAllString(clause, ""), " \t,:–-")
		if shorter == clause {
			break
		}
		clause = shorter
	}
	words := strings.Fields(clause)
	if len(words) == 0 {
		return "", ""
	}
	first = strings.ToLower(strings.Trim(words[0], `.,;:!?()*_`))
	if len(words) > 1 {
		next = words[1]
	}
	return first, next
}
