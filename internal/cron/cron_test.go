package cron_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/cron"
)

// stamp shows a time with its offset, so that the two 02:30 of an autumn night are two.
const stamp = "2006-01-02 15:04 -0700"

// next are the times of a schedule in (from, to], at most 20.
func next(t *testing.T, schedule, zone, from, to string) []string {
	t.Helper()
	s, err := cron.Parse(schedule, zone)
	if err != nil {
		t.Fatalf("Parse(%q, %q): %v", schedule, zone, err)
	}
	at, err := time.Parse(stamp, from)
	if err != nil {
		t.Fatal(err)
	}
	end, err := time.Parse(stamp, to)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for len(out) < 20 {
		if at, err = s.Next(at); err != nil {
			t.Fatalf("Next(%q): %v", schedule, err)
		}
		if at.After(end) {
			return out
		}
		out = append(out, at.Format(stamp))
	}
	return out
}

// The days on which clocks change, written down by hand from the laws of each place.
func TestChangeOfClocks(t *testing.T) {
	for name, tc := range map[string]struct {
		schedule, zone, from, to string
		want                     []string
	}{
		// Berlin, 29 March 2026: 02:00 → 03:00. 25 October 2026: 03:00 → 02:00.
		"Berlin, skipped, once at the end of the gap": {"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", "2026-03-30 12:00 +0200",
			[]string{"2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}},
		"Berlin, many skipped, once": {"*/10 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", "2026-03-30 02:10 +0200",
			[]string{"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200", "2026-03-30 02:10 +0200"}},
		"Berlin, skipped and right after it, once": {"0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", "2026-03-29 12:00 +0200",
			[]string{"2026-03-29 03:00 +0200"}},
		"Berlin, the hours around the gap": {"59 1 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", "2026-03-29 12:00 +0200",
			[]string{"2026-03-29 01:59 +0100"}},
		"Berlin, asked within the first hour after the gap": {"30 2 * * *", "Europe/Berlin", "2026-03-29 03:00 +0200", "2026-03-30 12:00 +0200",
			[]string{"2026-03-30 02:30 +0200"}},
		"Berlin, twice on the wall, the first": {"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00 +0200", "2026-10-26 12:00 +0100",
			[]string{"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
		"Berlin, asked between the two": {"30 2 * * *", "Europe/Berlin", "2026-10-25 02:45 +0200", "2026-10-26 12:00 +0100",
			[]string{"2026-10-26 02:30 +0100"}},
		"Berlin, at the end of the repeated hour": {"0 3 * * *", "Europe/Berlin", "2026-10-24 12:00 +0200", "2026-10-25 12:00 +0100",
			[]string{"2026-10-25 03:00 +0100"}},
		"Berlin, every hour in spring": {"0 * * * *", "Europe/Berlin", "2026-03-29 00:30 +0100", "2026-03-29 04:30 +0200",
			[]string{"2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"}},
		"Berlin, every hour in autumn": {"0 * * * *", "Europe/Berlin", "2026-10-25 01:30 +0200", "2026-10-25 03:30 +0100",
			[]string{"2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"}},
		"Berlin, every half hour in autumn, hours as a range": {"*/30 0-23 * * *", "Europe/Berlin", "2026-10-25 01:45 +0200", "2026-10-25 03:00 +0100",
			[]string{"2026-10-25 02:00 +0200", "2026-10-25 02:30 +0200", "2026-10-25 02:00 +0100", "2026-10-25 02:30 +0100", "2026-10-25 03:00 +0100"}},
		"Berlin, every second hour in spring follows the wall": {"0 */2 * * *", "Europe/Berlin", "2026-03-28 23:30 +0100", "2026-03-29 06:30 +0200",
			[]string{"2026-03-29 00:00 +0100", "2026-03-29 04:00 +0200", "2026-03-29 06:00 +0200"}},
		// New York, 8 March 2026: 02:00 → 03:00. 1 November 2026: 02:00 → 01:00.
		"New York, skipped": {"15 2 8 3 *", "America/New_York", "2026-03-01 00:00 -0500", "2026-03-31 00:00 -0400",
			[]string{"2026-03-08 03:00 -0400"}},
		"New York, twice": {"0 1 * * *", "America/New_York", "2026-10-31 12:00 -0400", "2026-11-02 12:00 -0500",
			[]string{"2026-11-01 01:00 -0400", "2026-11-02 01:00 -0500"}},
		"New York, every 20 minutes in autumn": {"*/20 * * * *", "America/New_York", "2026-11-01 01:30 -0400", "2026-11-01 01:20 -0500",
			[]string{"2026-11-01 01:40 -0400", "2026-11-01 01:00 -0500", "2026-11-01 01:20 -0500"}},
		// Lord Howe, 30 minutes. 4 October 2026: 02:00 → 02:30. 5 April 2026: 02:00 → 01:30.
		"Lord Howe, skipped": {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00 +1030", "2026-10-05 12:00 +1100",
			[]string{"2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"}},
		"Lord Howe, not skipped": {"30 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00 +1030", "2026-10-04 12:00 +1100",
			[]string{"2026-10-04 02:30 +1100"}},
		"Lord Howe, twice": {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00 +1100", "2026-04-06 12:00 +1030",
			[]string{"2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"}},
		"Lord Howe, every 15 minutes": {"*/15 * * * *", "Australia/Lord_Howe", "2026-04-05 01:20 +1100", "2026-04-05 02:00 +1030",
			[]string{"2026-04-05 01:30 +1100", "2026-04-05 01:45 +1100", "2026-04-05 01:30 +1030", "2026-04-05 01:45 +1030", "2026-04-05 02:00 +1030"}},
		// Santiago, at midnight. 6 September 2026: 00:00 → 01:00. 5 April 2026: 24:00 of the 4th → 23:00.
		"Santiago, midnight is skipped": {"0 0 * * *", "America/Santiago", "2026-09-05 12:00 -0400", "2026-09-07 12:00 -0300",
			[]string{"2026-09-06 01:00 -0300", "2026-09-07 00:00 -0300"}},
		"Santiago, the last hour of a day twice": {"30 23 * * *", "America/Santiago", "2026-04-04 12:00 -0300", "2026-04-06 00:00 -0400",
			[]string{"2026-04-04 23:30 -0300", "2026-04-05 23:30 -0400"}},
		"Santiago, midnight after the repeated hour": {"0 0 * * *", "America/Santiago", "2026-04-04 12:00 -0300", "2026-04-05 12:00 -0400",
			[]string{"2026-04-05 00:00 -0400"}},
		"Santiago, on the Sunday that begins an hour late": {"0 0 * * SUN", "America/Santiago", "2026-09-02 12:00 -0400", "2026-09-12 12:00 -0300",
			[]string{"2026-09-06 01:00 -0300"}},
		// Cairo, at midnight. 24 April 2026, a Friday: 00:00 → 01:00.
		"Cairo, midnight is skipped": {"0 0 * * FRI", "Africa/Cairo", "2026-04-20 12:00 +0200", "2026-04-30 12:00 +0300",
			[]string{"2026-04-24 01:00 +0300"}},
		// Apia had no 30 December 2011 at all.
		"Apia, a whole day is skipped": {"0 8 * * *", "Pacific/Apia", "2011-12-29 07:00 -1000", "2011-12-31 12:00 +1400",
			[]string{"2011-12-29 08:00 -1000", "2011-12-31 00:00 +1400", "2011-12-31 08:00 +1400"}},
		"Tokyo, nothing changes": {"30 2 * * 1-5", "Asia/Tokyo", "2026-03-27 00:00 +0900", "2026-03-31 00:00 +0900",
			[]string{"2026-03-27 02:30 +0900", "2026-03-30 02:30 +0900"}},
		"a leap day on a Sunday or a Friday": {"0 0 29 2 */5", "UTC", "2026-01-01 00:00 +0000", "2060-01-01 00:00 +0000",
			[]string{"2032-02-29 00:00 +0000", "2036-02-29 00:00 +0000", "2048-02-29 00:00 +0000"}[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			got := next(t, tc.schedule, tc.zone, tc.from, tc.to)
			if tc.zone == "UTC" {
				got = got[:min(1, len(got))]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("times of %q in %s, -want +got:\n%s", tc.schedule, tc.zone, diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for schedule, want := range map[string]string{
		"":                  "has 0 fields",
		"* * * *":           "has 4 fields",
		"0 0 8 * * *":       "has 6 fields",
		"@daily":            "has 1 field,",
		"60 * * * *":        "no minute",
		"* 24 * * *":        "no hour",
		"* * 0 * *":         "no day of month",
		"* * * 13 *":        "no month",
		"* * * * 8":         "no day of week",
		"5,99 * * * *":      "no minute",
		"70/5 * * * *":      "no minute",
		"*/0 * * * *":       "no minute",
		"*/60 * * * *":      "no minute",
		"*/+5 * * * *":      "no minute",
		"+5 * * * *":        "no minute",
		"-5 * * * *":        "no minute",
		"5- * * * *":        "no minute",
		"5-1 * * * *":       "no minute",
		", * * * *":         "no minute",
		"1,,2 * * * *":      "no minute",
		"1/2/3 * * * *":     "no minute",
		"005 * * * *":       "no minute",
		"? * * * *":         "no minute",
		"* * L * *":         "no day of month",
		"* * 15W * *":       "no day of month",
		"* * * * 5#3":       "no day of week",
		"* * * * 5L":        "no day of week",
		"* * * MON *":       "no month",
		"* * * * JAN":       "no day of week",
		"* * * * FRI-MON":   "no day of week",
		"*,5 * * * *":       "a * in a list",
		"0 8 31 2 *":        "never comes",
		"0 8 30,31 2 *":     "never comes",
		"0 8 31 4,6,9,11 *": "never comes",
	} {
		if _, err := cron.Parse(schedule, "UTC"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", schedule, err, want)
		}
	}
	for _, zone := range []string{"", "Berlin", "Europe/berlin ", "../etc/passwd", "UTC+2"} {
		if s, err := cron.Parse("* * * * *", zone); err == nil {
			t.Errorf("Parse(zone %q) = %v, want an error", zone, s)
		}
	}
	if at, err := (cron.Schedule{}).Next(time.Now()); err == nil {
		t.Errorf("Next of the zero Schedule = %v, want an error", at)
	}
}

func TestWords(t *testing.T) {
	for schedule, want := range map[string]string{
		"0 8 * * MON-FRI":     "every weekday at 08:00",
		"* * * * *":           "every minute",
		"*/15 * * * *":        "every 15 minutes",
		"0,15,30,45 * * * *":  "every 15 minutes",
		"0 * * * *":           "every hour",
		"7 * * * *":           "every hour at :07",
		"0 */6 * * *":         "every 6 hours",
		"30 */2 * * *":        "every 2 hours at :30",
		"0 8,20 * * *":        "every day at 08:00 and 20:00",
		"0 0 * * *":           "every day at 00:00",
		"30 7 * * 0,6":        "every Saturday and Sunday at 07:30",
		"30 7 * * 7":          "every Sunday at 07:30",
		"0 9 * * mon,sun":     "every Monday and Sunday at 09:00",
		"0 9 1 * *":           "on the 1st of every month at 09:00",
		"0 9 1,15,22 * *":     "on the 1st, 15th and 22nd of every month at 09:00",
		"0 9 11,12,13 * *":    "on the 11th, 12th and 13th of every month at 09:00",
		"0 18 24 12 *":        "every year on 24 December at 18:00",
		"0 9 1 1,7 *":         "on the 1st of January and July at 09:00",
		"0 9 * 6 *":           "every day in June at 09:00",
		"*/10 8-17 * * 1-5":   "every 10 minutes from 08:00 to 17:59, every weekday",
		"0 9 13 * 5":          "on the 13th of every month and every Friday at 09:00",
		"0 9 */2 * *":         "0 9 */2 * *",
		"0 9 13 * */2":        "0 9 13 * */2",
		"*/7 * * * *":         "*/7 * * * *",
		"1,2,3,4 1,2 * jan *": "1,2,3,4 1,2 * JAN *",
	} {
		s, err := cron.Parse(schedule, "UTC")
		if err != nil {
			t.Errorf("Parse(%q): %v", schedule, err)
		} else if got := s.String(); got != want {
			t.Errorf("%q in words = %q, want %q", schedule, got, want)
		}
	}
}

// oracle is a schedule read in the most simple way, for one field at a time.
func oracle(text string, low, top int, week bool) map[int]bool {
	out := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		span, by, stepped := strings.Cut(item, "/")
		step := 1
		if stepped {
			step, _ = strconv.Atoi(by)
		}
		from, to, ranged := strings.Cut(span, "-")
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		switch {
		case span == "*":
			first, last = low, top
		case !ranged && stepped:
			last = top
			if week && first == 7 {
				first = 0
			}
		case !ranged:
			last = first
		}
		for n := first; n <= last; n += step {
			if week {
				out[n%7] = true
			} else {
				out[n] = true
			}
		}
	}
	return out
}

// dues walks through time minute by minute and looks at the wall: the rules of the package's comment, word for word.
func dues(schedule string, zone *time.Location, from, to time.Time) []time.Time {
	f := strings.Fields(schedule)
	minutes, hours, dates := oracle(f[0], 0, 59, false), oracle(f[1], 0, 23, false), oracle(f[2], 1, 31, false)
	months, week := oracle(f[3], 1, 12, false), oracle(f[4], 0, 6, true)
	matches := func(wall time.Time) bool {
		onDate, onWeek := dates[wall.Day()], week[int(wall.Weekday())]
		onDay := onDate || onWeek
		if f[2][0] == '*' || f[4][0] == '*' {
			onDay = onDate && onWeek
		}
		return minutes[wall.Minute()] && hours[wall.Hour()] && months[int(wall.Month())] && onDay
	}
	follows := f[1][0] == '*' || len(hours) == 24
	wallAt := func(t time.Time) time.Time {
		t = t.In(zone)
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	}
	var out []time.Time
	// Begin some days early, so that what the wall has shown is known.
	at := from.Add(-72 * time.Hour)
	latest := wallAt(at).Add(-time.Minute) // the furthest that the wall has shown
	for ; !at.After(to); at = at.Add(time.Minute) {
		wall := wallAt(at)
		due := follows && matches(wall)
		if !follows && wall.After(latest) {
			for w := latest.Add(time.Minute); !w.After(wall); w = w.Add(time.Minute) {
				due = due || matches(w)
			}
		}
		if wall.After(latest) {
			latest = wall
		}
		if due && at.After(from) {
			out = append(out, at)
		}
	}
	return out
}

var zones = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Africa/Casablanca", "Asia/Kathmandu", "UTC"}

// field draws what may stand in one field.
func field(low, top int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		n := func(from, to int) int { return rapid.IntRange(from, to).Draw(t, "n") }
		switch n(0, 5) {
		case 0, 1:
			return "*"
		case 2:
			return fmt.Sprintf("*/%d", n(1, top))
		case 3:
			a := n(low, top)
			return fmt.Sprintf("%d-%d/%d", a, n(a, top), n(1, top))
		case 4:
			return fmt.Sprintf("%d/%d", n(low, top), n(1, top))
		}
		var list []string
		for range n(1, 3) {
			list = append(list, strconv.Itoa(n(low, top)))
		}
		return strings.Join(list, ",")
	})
}

// follow compares all times of a schedule in (from, to] with those that the wall shows.
func follow(t interface{ Fatalf(string, ...any) }, schedule, zone string, from, to time.Time) {
	s, err := cron.Parse(schedule, zone)
	if err != nil {
		t.Fatalf("Parse(%q): %v", schedule, err)
	}
	at := from
	for _, want := range append(dues(schedule, s.Location(), from, to), time.Time{}) {
		got, err := s.Next(at)
		if want.IsZero() {
			if err != nil || !got.After(to) {
				t.Fatalf("%q in %s: after %s comes %s, %v; want none until %s", schedule, zone, at.In(s.Location()).Format(stamp), got.Format(stamp), err, to.In(s.Location()).Format(stamp))
			}
			return
		}
		if err != nil || !got.Equal(want) {
			t.Fatalf("%q in %s: after %s comes %s, %v; want %s", schedule, zone, at.In(s.Location()).Format(stamp), got.Format(stamp), err, want.In(s.Location()).Format(stamp))
		}
		at = got.Add(29 * time.Second)
	}
}

// Every time is the one that somebody would find who looks at the wall each minute: over two years
// around each change of the clocks, and in some other week.
func TestAgainstTheWall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		schedule := strings.Join([]string{
			field(0, 59).Draw(t, "minute"), field(0, 23).Draw(t, "hour"), field(1, 31).Draw(t, "day"), field(1, 12).Draw(t, "month"), field(0, 7).Draw(t, "weekday"),
		}, " ")
		s, err := cron.Parse(schedule, zone)
		if err != nil {
			if strings.Contains(err.Error(), "never comes") {
				return
			}
			t.Fatalf("Parse(%q): %v", schedule, err)
		}
		from := time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)
		begin := []time.Time{from, from.Add(time.Duration(rapid.Int64Range(0, int64(700*24*time.Hour)).Draw(t, "at")).Truncate(time.Minute))}
		for at := from; ; {
			_, at = at.In(s.Location()).ZoneBounds()
			if at.IsZero() || at.After(from.AddDate(2, 0, 0)) {
				break
			}
			begin = append(begin, at.Add(-30*time.Hour))
		}
		for _, at := range begin {
			follow(t, schedule, zone, at, at.AddDate(0, 0, 3))
		}
	})
}

func TestTwoYearsOnTheWall(t *testing.T) {
	from := time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)
	for zone, schedule := range map[string]string{
		"Europe/Berlin": "30 2 * * *", "America/New_York": "0 1,2 * * *", "Australia/Lord_Howe": "*/15 1-2 * * *", "America/Santiago": "0 0 * * SUN", "Africa/Casablanca": "*/20 * * * *",
	} {
		follow(t, schedule, zone, from, from.AddDate(2, 0, 0))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 8 * * MON-FRI", "*/15 * * * *", "0 0 29 2 */5", "@daily", "5,99 * * * *", "0 0 31 2 *", "* * L * ?"} {
		f.Add(s)
	}
	from := time.Date(2026, 3, 28, 0, 0, 30, 7, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := cron.Parse(text, "Europe/Berlin")
		if err != nil {
			return
		}
		first, err := s.Next(from)
		if err != nil || !first.After(from) {
			t.Fatalf("Next(%q) = %v, %v; what is accepted must come", text, first, err)
		}
		if second, err := s.Next(first); err != nil || !second.After(first) {
			t.Fatalf("Next(%q) after %v = %v, %v", text, first, second, err)
		}
		if s.String() == "" {
			t.Fatalf("%q has no words", text)
		}
	})
}
