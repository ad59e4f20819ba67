package gateway

import (
	"testing"
	"time"
	_ "time/tzdata"
)

// Every day of these years begins with the first moment that bears its date, wherever the clock is
// changed: at night, at midnight forwards (no 0:00) or backwards (0:00 twice, or 23:00 twice).
func TestMidnight(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo",
		"America/Nuuk", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Asia/Tehran",
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for noon := time.Date(2010, 1, 1, 12, 0, 0, 0, zone); noon.Year() < 2031; noon = noon.AddDate(0, 0, 1) {
			got := midnight(noon)
			same := func(at time.Time) bool { return bears(at.In(zone), noon) }
			if !same(got) || same(got.Add(-1)) {
				t.Fatalf("%s: midnight(%s) = %s, want the first moment of that day", name, noon, got)
			}
			for back := time.Minute; back < 4*time.Hour; back += 15 * time.Minute {
				if same(got.Add(-back)) {
					t.Fatalf("%s: midnight(%s) = %s, but the day had begun %s earlier", name, noon, got, back)
				}
			}
			if got.UnixMilli()%(15*60*1000) != 0 {
				t.Fatalf("%s: midnight(%s) = %s, which is no quarter of an hour: days could not be told apart in sums", name, noon, got)
			}
			if next := daysAfter(got, 1); name != "Pacific/Apia" && (!next.After(got) || next.Sub(got) > 26*time.Hour || !midnight(next.Add(-1)).Equal(got)) { // Apia left out a day
				t.Fatalf("%s: the day after %s begins %s", name, got, next)
			}
		}
	}
}

func TestMidnightOfDaysOnWhichTheClockIsChanged(t *testing.T) {
	for name, tc := range map[string]struct{ zone, at, want string }{
		"spring":        {"Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00"},
		"autumn":        {"Europe/Berlin", "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00"},
		"no midnight":   {"Africa/Cairo", "2026-04-24T12:00:00+03:00", "2026-04-24T01:00:00+03:00"},
		"two midnights": {"America/Havana", "2026-11-01T12:00:00-05:00", "2026-11-01T00:00:00-04:00"},
	} {
		zone, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, tc.at)
		want, _ := time.Parse(time.RFC3339, tc.want)
		if got := midnight(at.In(zone)); !got.Equal(want) {
			t.Errorf("%s: midnight(%s) = %s, want %s", name, tc.at, got.Format(time.RFC3339), tc.want)
		}
	}
}
