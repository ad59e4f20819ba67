package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkDomain says why d is neither example.com nor *.example.com, or "".
func checkDomain(d string) string {
	name := strings.TrimPrefix(d, "*.")
	switch {
	case strings.Contains(d, "://"):
		return "is a URL; write the name alone, like example.com"
	case strings.ContainsAny(d, "/?#@"):
		return "has more than a name; write the name alone, like example.com"
	case strings.Contains(d, ":"):
		return "has a port or is an address; only names on port 443 can be reached"
	case strings.HasSuffix(d, "."):
		return "ends in a dot; leave it away"
	case strings.Contains(name, "*"):
		return `has a * in the middle; it may stand alone at the front, like *.example.com`
	case strings.ToLower(d) != d:
		return "must be written in lower case"
	case len(name) > 253:
		return "is longer than 253 letters"
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.IndexFunc(label, func(r rune) bool { return !(r == '-' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9') }) >= 0 {
			return "is not a domain: letters, digits and hyphens between dots; write other alphabets as xn--…"
		}
	}
	last := labels[len(labels)-1]
	if last[0] >= '0' && last[0] <= '9' {
		return "is an address; only names can be allowed"
	}
	if len(labels) == 1 && name == d {
		return "has no dot; a name on the Internet has one"
	}
	return ""
}

// cronFields are the five fields of a schedule in their order.
var cronFields = []struct {
	name     string
	low, top int
	words    []string // word i stands for low+i
}{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{"day of week", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// checkCron accepts five fields of *, numbers, names, ranges, lists and steps.
func checkCron(schedule string) error {
	fields := strings.Fields(schedule)
	if len(fields) != len(cronFields) {
		return fmt.Errorf("%q has %d fields, want 5: minute, hour, day of month, month, day of week", clip(schedule), len(fields))
	}
	for i, f := range cronFields {
		for item := range strings.SplitSeq(fields[i], ",") {
			if !cronItem(item, f.low, f.top, f.words) {
				return fmt.Errorf("%q is no %s; want *, %d to %d, a range, a list or a step like */5", clip(item), f.name, f.low, f.top)
			}
		}
	}
	return nil
}

func cronItem(item string, low, top int, words []string) bool {
	span, step, stepped := strings.Cut(item, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || !decimal(step) || n < 1 || n > top) {
		return false
	}
	if span == "*" {
		return true
	}
	value := func(text string) int {
		if i := slices.Index(words, strings.ToUpper(text)); i >= 0 {
			return low + i
		}
		if n, err := strconv.Atoi(text); err == nil && len(text) <= 2 && text[0] != '+' && n >= low && n <= top {
			return n
		}
		return -1
	}
	from, to, ranged := strings.Cut(span, "-")
	a := value(from)
	if !ranged {
		return a >= 0
	}
	b := value(to)
	return a >= 0 && b >= a
}
