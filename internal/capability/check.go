package capability

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

const (
	idBytes    = 16                  // 128 bits: nobody guesses or repeats one
	maxTimeout = 24 * 60 * 60 * 1000 // ms; also keeps sums of times far from overflow
	maxClock   = 253402300799        // 9999-12-31, Unix seconds
	slack      = 5                   // seconds a token outlives its task's timeout
)

// TaskDigest returns the digest of a task's canonical bytes, as it stands in [Claims].TaskSHA256.
func TaskDigest(task []byte) string {
	sum := sha256.Sum256(task)
	return hex.EncodeToString(sum[:])
}

// lifetime is how many seconds a token for a task of timeoutMS lives.
func lifetime(timeoutMS int64) int64 { return (timeoutMS+999)/1000 + slack }

// check refuses claims that leave something open: whoever forgot a limit must get no task at all.
func (c *Claims) check() error {
	switch {
	case c.Audience == "":
		return errors.New("no audience")
	case !isHex(c.ID, idBytes):
		return errors.New("no token id of 128 bits")
	case c.Tool == "":
		return errors.New("no tool")
	case !isHex(c.TaskSHA256, sha256.Size):
		return errors.New("no SHA-256 of the task")
	case c.Session == "":
		return errors.New("no session")
	case c.Call == "":
		return errors.New("no call")
	case c.TimeoutMS <= 0 || c.TimeoutMS > maxTimeout:
		return fmt.Errorf("timeout of %d ms, want 1 to %d", c.TimeoutMS, int64(maxTimeout))
	}
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"output cap", c.OutputCap},
		{"memory", c.Memory},
		{"processor share", c.CPUMillis},
		{"process limit", c.Pids},
	} {
		if limit.value <= 0 {
			return fmt.Errorf("%s is %d, want a limit", limit.name, limit.value)
		}
	}
	mounts := make(map[string]bool, len(c.Mounts))
	for _, m := range c.Mounts {
		switch {
		case m.Name == "":
			return errors.New("mount without a name")
		case m.Mode != "ro" && m.Mode != "rw":
			return fmt.Errorf("mount %.40q has mode %.10q, want ro or rw", m.Name, m.Mode)
		case mounts[m.Name]:
			return fmt.Errorf("mount %.40q stands twice", m.Name)
		}
		mounts[m.Name] = true
	}
	domains := make(map[string]bool, len(c.Domains))
	for _, d := range c.Domains {
		if d == "" || domains[d] {
			return fmt.Errorf("domain %.40q is empty or stands twice", d)
		}
		domains[d] = true
	}
	return nil
}

// checkTime refuses a token that is not of this moment.
func (c *Claims) checkTime(now time.Time) *Refusal {
	if c.IssuedAt <= 0 || c.IssuedAt > maxClock || c.NotBefore < c.IssuedAt || c.Expires < c.NotBefore {
		return refuse(RefusedTime, "iat %d, nbf %d and exp %d are not in order", c.IssuedAt, c.NotBefore, c.Expires)
	}
	if most := c.IssuedAt + lifetime(c.TimeoutMS); c.Expires > most {
		return refuse(RefusedTime, "lives %d s longer than its task may take", c.Expires-most)
	}
	issued, early, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.NotBefore, 0), time.Unix(c.Expires, 0)
	switch {
	case issued.After(now.Add(Leeway)):
		return refuse(RefusedTime, "issued %v in the future: compare the clocks", issued.Sub(now).Round(time.Second))
	case early.After(now.Add(Leeway)):
		return refuse(RefusedTime, "not valid for another %v", early.Sub(now).Round(time.Second))
	case !now.Before(expires.Add(Leeway)):
		return refuse(RefusedTime, "expired %v ago", now.Sub(expires).Round(time.Second))
	case now.Sub(issued) > maxAge:
		return refuse(RefusedTime, "issued %v ago, at most %v: compare the clocks", now.Sub(issued).Round(time.Second), maxAge)
	}
	return nil
}

// isHex reports whether s is n bytes in lower-case hex: one value, one spelling.
func isHex(s string, n int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == n && hex.EncodeToString(raw) == s
}
