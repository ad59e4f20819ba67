// Package cron says when a schedule of five fields is due in a time zone. Configuration and clock
// both read schedules here, so that nothing is accepted that would not beat.
//
// What a clock on the wall shows twice, or never, is handled as Vixie cron does. A schedule for
// every hour, or for every second or third one (an hour field that begins with *, or that holds all
// hours), follows the wall through the change: it beats at each minute that the wall shows and that
// matches. Any other is for fixed times: one that the wall skips is due once, at the moment when the
// skipped time is over, and one that it shows twice is due at the first.
//
// It refuses fields out of range, what other programs add to the five fields (seconds, years, L, W,
// #, @daily) and schedules that never come, like the 31st of February. The entry point is [Parse].
package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Schedule is a set of times in a zone. The zero Schedule is never due.
type Schedule struct {
	text   string // the fields, one blank between them
	fields [5]field
	zone   *time.Location
	// follows says that it goes with the wall through a change of the clocks.
	follows bool
}

// The fields in their order.
const (
	minute = iota
	hour
	monthDay
	month
	weekday
)

// Parse reads a schedule for a zone; the zone is a name like Europe/Berlin, or Local.
func Parse(schedule, zone string) (Schedule, error) {
	s := Schedule{}
	words := strings.Fields(schedule)
	if len(words) != len(s.fields) {
		return Schedule{}, fmt.Errorf("%.40q has %s, want 5 fields: minute, hour, day of month, month, day of week", schedule, counted(len(words)))
	}
	for i, k := range kinds() {
		f, err := k.parse(words[i])
		if err != nil {
			return Schedule{}, err
		}
		s.fields[i] = f
	}
	if !s.comes() {
		return Schedule{}, fmt.Errorf("%.40q never comes: no year has such a day", schedule)
	}
	loc, err := Zone(zone)
	if err != nil {
		return Schedule{}, err
	}
	s.text, s.zone = strings.ToUpper(strings.Join(words, " ")), loc
	s.follows = s.fields[hour].star || s.fields[hour].set == every(0, 23)
	return s, nil
}

func counted(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

// Zone reads the name of a time zone.
func Zone(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return nil, fmt.Errorf("%.40q is no time zone; write a name like Europe/Berlin, or Local", name)
	}
	return loc, nil
}

// comes reports whether there is a day at all. After 40 years all pairs of date and day of the week were there.
func (s Schedule) comes() bool {
	day := time.Date(2004, 1, 1, 0, 0, 0, 0, time.UTC)
	for end := day.AddDate(40, 0, 0); day.Before(end); day = day.AddDate(0, 0, 1) {
		if s.onDay(day) {
			return true
		}
	}
	return false
}

// onDay reports whether a day matches: both its date and its day of the week, or, when neither field
// begins with *, one of them.
func (s Schedule) onDay(t time.Time) bool {
	date, week := s.fields[monthDay], s.fields[weekday]
	onDate, onWeek := date.has(t.Day()), week.has(int(t.Weekday()))
	return s.fields[month].has(int(t.Month())) && (onDate && onWeek || !date.star && !week.star && (onDate || onWeek))
}

// Location is the zone.
func (s Schedule) Location() *time.Location { return s.zone }

// maxStretches bounds the search: stretches of time between two changes of the clocks. The rarest
// schedule comes once in 40 years, and some zones change four times a year.
const maxStretches = 200

var errNever = errors.New("this schedule is never due")

// Next is the first time after t. It fails for the zero Schedule only.
func (s Schedule) Next(t time.Time) (time.Time, error) {
	if s.zone == nil {
		return time.Time{}, errNever
	}
	t = t.Round(0).In(s.zone) // of the wall: a monotonic clock stands still while a computer sleeps
	from := shown(t).Truncate(time.Minute).Add(time.Minute)
	for n := range maxStretches {
		start, end := t.ZoneBounds()
		if before := start.Add(-time.Nanosecond); !s.follows && !start.IsZero() {
			// The wall jumped here, from last to first.
			last, first := shown(before).Add(time.Nanosecond), shown(start)
			if n > 0 && t.Equal(start) && last.Before(first) {
				skipped, err := s.tick(whole(last))
				if err != nil {
					return time.Time{}, err
				}
				if skipped.Before(first) {
					return start, nil
				}
			}
			if from.Before(last) {
				from = whole(last) // it was shown before the jump
			}
		}
		due, err := s.tick(from)
		if err != nil {
			return time.Time{}, err
		}
		if at := due.Add(-offset(t)); end.IsZero() || at.Before(end) {
			return at.In(s.zone), nil
		}
		t = end
		from = whole(shown(t))
		if due.Sub(from) > 400*24*time.Hour {
			// Nothing for a year and more: no need to look at each change until then.
			t = due.Add(-370 * 24 * time.Hour).In(s.zone)
			from = whole(shown(t))
		}
	}
	return time.Time{}, errNever
}

// tick is the first time from a minute on that matches, both as a wall shows them: written as if the
// wall were in UTC, where no clock changes.
func (s Schedule) tick(from time.Time) (time.Time, error) {
	return gronx.NextTickAfter(s.text, from.Add(-time.Minute), false)
}

// shown is what a clock on the wall shows at t, as a time in UTC.
func shown(t time.Time) time.Time { return t.UTC().Add(offset(t)) }

// whole is t, or the next whole minute after it.
func whole(t time.Time) time.Time {
	if m := t.Truncate(time.Minute); !m.Equal(t) {
		return m.Add(time.Minute)
	}
	return t
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}
