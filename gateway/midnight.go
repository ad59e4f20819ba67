package gateway

import "time"

// midnight is the first moment of t's day in t's zone.
func midnight(t time.Time) time.Time { return daysAfter(t, 0) }

// daysAfter is the first moment of the day that is n days after t's, in t's zone. A day that has no 0:00,
// or two of them, because the clock is changed then, begins with the first moment that bears its date.
func daysAfter(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	day, zone := time.Date(y, m, d+n, 0, 0, 0, 0, time.UTC), t.Location()
	guess := time.Date(y, m, d+n, 0, 0, 0, 0, zone)
	// 0:00 as the clock goes half a day earlier and half a day later, and the moments at which it is changed.
	_, before := guess.Add(-12 * time.Hour).Zone()
	_, after := guess.Add(12 * time.Hour).Zone()
	from, to := guess.ZoneBounds()
	first := time.Time{}
	for _, c := range []time.Time{day.Add(seconds(-before)), day.Add(seconds(-after)), from, to} {
		if bears(c.In(zone), day) && (first.IsZero() || c.Before(first)) {
			first = c.In(zone)
		}
	}
	if first.IsZero() {
		return guess // a day that a zone left out
	}
	return first
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// bears reports whether t has the date of day.
func bears(t, day time.Time) bool { return t.Format(time.DateOnly) == day.Format(time.DateOnly) }
