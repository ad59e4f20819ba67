package capability_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
)

// clock is a time that a test moves by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestReplayUsesOnce(t *testing.T) {
	c := &clock{noon}
	r := capability.NewReplay(c.Now)
	expires := noon.Add(35 * time.Second)
	if err := r.Use("a", expires); err != nil {
		t.Fatalf("Use(a) = %v, want no error", err)
	}
	wantRefusal(t, "Use(a) again", r.Use("a", expires), capability.RefusedReplay)
	if err := r.Use("b", expires); err != nil {
		t.Errorf("Use(b) = %v, want no error", err)
	}
}

// As long as any Verifier takes the token, leeway included, its id is known.
func TestReplayRemembersAsLongAsTheTokenVerifies(t *testing.T) {
	c := &clock{noon}
	r := capability.NewReplay(c.Now)
	token := mint(t, noon, order())
	verifier := capability.NewVerifier(public(gatewayKey(t)), c.Now)
	for s := range 50 {
		c.now = noon.Add(time.Duration(s) * time.Second)
		claims, err := verifier.Verify(token, []string{"file"}, task)
		if err != nil {
			if s != 40 {
				t.Fatalf("Verify %d s after minting = %v, want it to be good for 40 s", s, err)
			}
			return
		}
		if err := r.Use(claims.ID, time.Unix(claims.Expires, 0)); (err == nil) != (s == 0) {
			t.Fatalf("Use %d s after minting = %v, want an error after the first", s, err)
		}
	}
	t.Fatal("the token never expires")
}

// The leeway that a Verifier gives is good for the first use too.
func TestReplayAllowsAFirstUseWithinTheLeeway(t *testing.T) {
	if err := capability.NewReplay(at(noon)).Use("a", noon.Add(time.Millisecond-capability.Leeway)); err != nil {
		t.Errorf("Use within the leeway = %v, want no error", err)
	}
}

// Setting the clock back does not make a forgotten token new.
func TestReplayIsNotFooledByAClockSetBack(t *testing.T) {
	c := &clock{noon}
	r := capability.NewReplay(c.Now)
	expires := noon.Add(35 * time.Second)
	if err := r.Use("a", expires); err != nil {
		t.Fatal(err)
	}
	c.now = noon.Add(time.Hour)
	if err := r.Use("b", c.now.Add(time.Minute)); err != nil { // a is forgotten here
		t.Fatal(err)
	}
	c.now = noon
	wantRefusal(t, "Use(a) after the clock was set back", r.Use("a", expires), capability.RefusedReplay)
}

// A full memory refuses; it does not forget. And it has room again when tokens expire.
func TestReplayIsBounded(t *testing.T) {
	c := &clock{noon}
	r := capability.NewReplay(c.Now)
	expires := noon.Add(35 * time.Second)
	n := 0
	for ; n < 1<<20; n++ {
		if err := r.Use(fmt.Sprint(n), expires); err != nil {
			wantRefusal(t, "Use in a full memory", err, capability.RefusedReplay)
			break
		}
	}
	if n != 1<<16 {
		t.Errorf("Use succeeded %d times, want 65536", n)
	}
	wantRefusal(t, "Use(0) again in a full memory", r.Use("0", expires), capability.RefusedReplay)
	c.now = noon.Add(41 * time.Second)
	if err := r.Use("later", c.now.Add(time.Minute)); err != nil {
		t.Errorf("Use after all others expired = %v, want no error", err)
	}
}

func TestReplayOnceAmongMany(t *testing.T) {
	r := capability.NewReplay(at(noon))
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if r.Use("a", noon.Add(time.Minute)) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("Use(a) succeeded %d times at once, want 1", won.Load())
	}
}

func TestReplayZeroRefuses(t *testing.T) {
	expires := noon.Add(time.Minute)
	wantRefusal(t, "zero Replay: Use", new(capability.Replay).Use("a", expires), capability.RefusedReplay)
	wantRefusal(t, "no clock: Use", capability.NewReplay(nil).Use("a", expires), capability.RefusedReplay)
	wantRefusal(t, "Use without an id", capability.NewReplay(at(noon)).Use("", expires), capability.RefusedReplay)
	wantRefusal(t, "Use of an expired token", capability.NewReplay(at(noon)).Use("a", noon.Add(-capability.Leeway)), capability.RefusedReplay)
}
