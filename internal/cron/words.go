package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String is the schedule in plain words where it has a common form ("every weekday at 08:00"), and
// else its five fields.
func (s Schedule) String() string {
	at, days := s.clock(), s.days()
	switch {
	case s.zone == nil:
		return "never"
	case at == "" || days == "":
		return s.text
	case strings.HasPrefix(at, "at "):
		return days + " " + at
	case days == "every day":
		return at
	}
	return at + ", " + days
}

// clock is when on a day.
func (s Schedule) clock() string {
	minutes, hours := s.fields[minute].numbers(), s.fields[hour].numbers()
	by, within := rhythm(minutes, 60), rhythm(hours, 24)
	switch {
	case within == 1 && by > 0:
		return interval(by, "minute")
	case within == 1 && len(minutes) == 1:
		return "every hour" + past(minutes[0])
	case within > 1 && len(minutes) == 1 && len(hours) > 2:
		return interval(within, "hour") + past(minutes[0])
	case by > 0 && consecutive(hours) && len(hours) > 0 && len(hours) < 24:
		return fmt.Sprintf("%s from %02d:00 to %02d:59", interval(by, "minute"), hours[0], hours[len(hours)-1])
	case len(minutes)*len(hours) > 6:
		return ""
	}
	var times []string
	for _, h := range hours {
		for _, m := range minutes {
			times = append(times, fmt.Sprintf("%02d:%02d", h, m))
		}
	}
	return "at " + and(times)
}

// rhythm is the step of numbers that begin at 0 and go round without a break; 0 if they have none, or are alone.
func rhythm(numbers []int, round int) int {
	step := round / max(1, len(numbers))
	if len(numbers) < 2 || step*len(numbers) != round {
		return 0
	}
	for i, n := range numbers {
		if n != i*step {
			return 0
		}
	}
	return step
}

func consecutive(numbers []int) bool {
	return len(numbers) > 0 && numbers[len(numbers)-1]-numbers[0] == len(numbers)-1
}

func interval(n int, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

// past is the minute of an hour.
func past(minute int) string {
	if minute == 0 {
		return ""
	}
	return fmt.Sprintf(" at :%02d", minute)
}

// days is on which days.
func (s Schedule) days() string {
	dates, week, months := s.fields[monthDay], s.fields[weekday], s.fields[month]
	of := ""
	if months.set != every(1, 12) {
		of = " in " + and(named(months.numbers(), func(n int) string { return time.Month(n).String() }))
	}
	allDates, allWeek := dates.set == every(1, 31), week.set == every(0, 6)
	switch {
	case allDates && allWeek, allDates && !dates.star, allWeek && !week.star:
		return "every day" + of
	case allDates:
		return weekdays(week.numbers()) + of
	case allWeek:
		return on(dates.numbers(), months)
	case dates.star || week.star || of != "":
		return ""
	}
	return on(dates.numbers(), months) + " and " + weekdays(week.numbers())
}

func weekdays(days []int) string {
	switch {
	case slices.Equal(days, []int{1, 2, 3, 4, 5}):
		return "every weekday"
	case slices.Equal(days, []int{0, 6}):
		return "every Saturday and Sunday"
	}
	if days[0] == 0 { // a week ends with its Sunday
		days = append(days[1:], 0)
	}
	return "every " + and(named(days, func(n int) string { return time.Weekday(n).String() }))
}

// on names dates.
func on(dates []int, months field) string {
	if len(dates) > 6 {
		return ""
	}
	if m := months.numbers(); len(m) == 1 {
		return "every year on " + and(named(dates, strconv.Itoa)) + " " + time.Month(m[0]).String()
	}
	text := "on the " + and(named(dates, ordinal))
	if months.set == every(1, 12) {
		return text + " of every month"
	}
	return text + " of " + and(named(months.numbers(), func(n int) string { return time.Month(n).String() }))
}

func ordinal(n int) string {
	ending := "th"
	if n/10 != 1 && n%10 >= 1 && n%10 <= 3 {
		ending = []string{"st", "nd", "rd"}[n%10-1]
	}
	return strconv.Itoa(n) + ending
}

func named(numbers []int, name func(int) string) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, name(n))
	}
	return out
}

// and joins names as people do.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
