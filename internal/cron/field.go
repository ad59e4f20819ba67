package cron

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// field is one of the five: the numbers that match, as bits.
type field struct {
	set uint64
	// star says that it begins with *: a day field like this never makes a day due by itself.
	star bool
}

func (f field) has(n int) bool { return f.set&(1<<n) != 0 }

// numbers are those that match, in order.
func (f field) numbers() []int {
	var out []int
	for rest := f.set; rest != 0; rest &= rest - 1 {
		out = append(out, bits.TrailingZeros64(rest))
	}
	return out
}

// every is the set of all numbers from low to top.
func every(low, top int) uint64 { return 1<<(top+1) - 1<<low }

// kind is what a field may hold.
type kind struct {
	name     string
	low, top int
	words    []string // word i stands for low+i
}

// kinds are the five in their order. Of the days of the week, 7 is Sunday like 0.
func kinds() [5]kind {
	return [5]kind{
		{"minute", 0, 59, nil},
		{"hour", 0, 23, nil},
		{"day of month", 1, 31, nil},
		{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		{"day of week", 0, 7, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
	}
}

// parse reads a list of *, numbers, names and ranges, each with or without a step.
func (k kind) parse(text string) (field, error) {
	f := field{star: strings.HasPrefix(text, "*")}
	items := strings.Split(text, ",")
	for _, item := range items {
		set, ok := k.item(item)
		if !ok {
			return field{}, fmt.Errorf("%.40q is no %s; want *, %d to %d, a range, a list or a step like */5", item, k.name, k.low, k.top)
		}
		if item == "*" && len(items) > 1 {
			return field{}, fmt.Errorf("%.40q: a * in a list of a %s makes the rest of it say nothing; write * alone", text, k.name)
		}
		f.set |= set
	}
	if k.top == 7 && f.has(7) {
		f.set = f.set&^(1<<7) | 1
	}
	return f, nil
}

func (k kind) item(text string) (set uint64, ok bool) {
	span, by, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || !digits(by) || n < 1 || n > k.top {
			return 0, false
		}
		step = n
	}
	first, last := k.low, k.top
	if span != "*" {
		from, to, ranged := strings.Cut(span, "-")
		first = k.value(from)
		switch {
		case ranged:
			last = k.value(to)
		case !stepped:
			last = first
		case k.top == 7 && first == 7:
			first = 0 // a 7 that more follow is the Sunday before them
		}
		if first < 0 || last < first {
			return 0, false
		}
	}
	if k.top == 7 && last == 7 && !strings.Contains(span, "-") && first < 7 {
		last = 6 // without an end it is the week, once
	}
	for n := first; n <= last; n += step {
		set |= 1 << n
	}
	return set, true
}

// value is a number or a name, and -1 for anything else.
func (k kind) value(text string) int {
	if i := slices.Index(k.words, strings.ToUpper(text)); i >= 0 {
		return k.low + i
	}
	n, err := strconv.Atoi(text)
	if err != nil || !digits(text) || n < k.low || n > k.top {
		return -1
	}
	return n
}

// digits reports whether a text is a number of at most two digits.
func digits(text string) bool {
	return len(text) <= 2 && strings.Trim(text, "0123456789") == ""
}
