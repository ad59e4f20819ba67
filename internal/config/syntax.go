package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

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
