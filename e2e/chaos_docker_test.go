//go:build docker

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// fewKills is how many are tried when nobody asks for more: CHAOS_KILLS=1000, as `make chaos` does.
const fewKills = 30

// reckonEvery is how many kills lie between two reckonings.
const reckonEvery = 50

// chaos is one installation that is killed again and again while its users talk to it.
type chaos struct {
	t      *testing.T
	w      *world
	seed   uint64
	random *rand.Rand // of the killer alone, so that its decisions follow from the seed
	folder string     // where steps are armed

	kills   map[string]int // by victim and how
	copies  int            // deaths and lost answers that may each repeat a message
	effects int
	unknown int
	twice   int

	hold   sync.RWMutex // held to write while nobody may begin an errand
	over   atomic.Bool
	mu     sync.Mutex
	runs   []*errand // since the last reckoning
	count  int       // errands in all
	failed []string
}

// Killed at random, at steps and between them, one process or all, with a Telegram that fails too, the
// installation does nothing twice and loses nothing.
func TestChaos(t *testing.T) {
	kills, seed := fewKills, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("CHAOS_KILLS")); err == nil {
		kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("CHAOS_SEED=%d CHAOS_KILLS=%d", seed, kills)
	folder := t.TempDir()
	people := []int64{owner, guest, owner + 10, owner + 11, owner + 12}
	c := &chaos{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), folder: folder, kills: map[string]int{},
		w: startTelegram(t, setting{dies: true, ready: true, telegram: people, env: []string{"FAILPOINT_DIR=" + folder}}),
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var talk sync.WaitGroup
	for i, user := range people {
		talk.Go(func() { c.talk(ctx, user, rand.New(rand.NewPCG(seed, uint64(i)+1))) })
	}
	began := time.Now()
	done := 0
	for done < kills && c.fine() {
		done += c.kill()
		if done%reckonEvery == 0 || done >= kills {
			c.reckon(done >= kills)
			t.Logf("%d kills in %v", done, time.Since(began).Round(time.Second))
		}
	}
	took := time.Since(began)
	c.over.Store(true)
	stop()
	talk.Wait()
	for _, problem := range c.failed {
		t.Error(problem)
	}
	t.Logf("chaos: seed %d, %d kills in %v (%.0f a minute), %d errands, %d effects, %d unknown and told, %d shown twice (%d may be)",
		seed, done, took.Round(time.Second), float64(done)/took.Minutes(), c.count, c.effects, c.unknown, c.twice, c.copies)
	for _, name := range slices.Sorted(maps.Keys(c.kills)) {
		t.Logf("  %4d × %s", c.kills[name], name)
	}
}

func (c *chaos) fine() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.failed) == 0 && !c.t.Failed()
}

func (c *chaos) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, fmt.Sprintf("seed %d: ", c.seed)+fmt.Sprintf(format, args...))
}

// talk is one user: an errand after the other, until it is over. An errand that is not answered is a loss.
func (c *chaos) talk(ctx context.Context, user int64, random *rand.Rand) {
	kinds := []string{errandText, errandText, errandText, errandDeny, errandDeny, errandLong, errandAuto, errandNotify, errandAsk, errandAsk}
	p := c.w.phone(user)
	for n := 0; !c.over.Load(); n++ {
		e := &errand{kind: kinds[random.IntN(len(kinds))], mark: fmt.Sprintf("U%dN%d", user-owner, n)}
		c.hold.RLock()
		// A minute without any kill is long; with one every second, it takes what it takes.
		limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
		err := p.do(limit, e)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.fail("%v", err)
			c.hold.RUnlock()
			return
		}
		c.mu.Lock()
		c.runs = append(c.runs, e)
		c.count++
		c.mu.Unlock()
		c.hold.RUnlock()
	}
}

// reckon lets all errands come to their ends and checks every promise.
func (c *chaos) reckon(last bool) {
	if last {
		c.over.Store(true)
	}
	c.w.tg.ClearFaults()
	c.hold.Lock()
	defer c.hold.Unlock()
	if !c.fine() {
		return
	}
	c.disarm()
	if !soon(func() bool { return c.w.claw("status").code == 0 }) {
		c.fail("status: %+v", c.w.claw("status"))
		return
	}
	c.mu.Lock()
	errands := c.runs
	c.runs = nil
	c.mu.Unlock()
	r := c.w.reckon(errands)
	c.effects += r.effects
	c.unknown += r.unknowns
	c.twice += len(r.twice)
	if c.twice > c.copies {
		r.bad("%d messages are shown more than once, and only %d deaths or lost answers excuse one: %v", c.twice, c.copies, r.twice)
	}
	for _, wrong := range r.wrong {
		c.fail("%s", wrong)
	}
}

// victims says who dies, by weight.
func victims() [][]string {
	return [][]string{
		{"gateway"}, {"gateway"}, {"gateway"}, {"gateway"}, {"gateway"}, {"gateway"}, {"gateway"},
		{"bridge"}, {"bridge"}, {"bridge"}, {"bridge"}, {"bridge"},
		{"runner"}, {"runner"}, {"runner"},
		{"gateway", "bridge"}, {"gateway", "runner"}, {"bridge", "runner"},
		{"up"},
	}
}

// kill makes the next decisions and carries them out. It returns how many processes' ends it counts as: 1.
func (c *chaos) kill() int {
	r := c.random
	pause := time.Duration(r.IntN(500)) * time.Millisecond
	who := victims()[r.IntN(len(victims()))]
	atStep := r.IntN(100) < 60
	ofRole := slices.DeleteFunc(steps(), func(s step) bool { return s.role != who[0] })
	pick, trouble := r.IntN(1000), r.IntN(100)
	time.Sleep(pause) // not to wait for anything: the moments are the cases
	c.trouble(trouble)
	if atStep && len(ofRole) > 0 {
		s := ofRole[pick%len(ofRole)]
		if c.arm(s) {
			c.kills[s.name]++
			if s.role != "runner" {
				c.copies++
			}
			who = who[1:]
			if len(who) == 0 {
				return 1
			}
		}
	}
	if who[0] == "up" {
		c.killAll()
		c.kills["everything at once"]++
		c.copies++
		return 1
	}
	for _, role := range who {
		var pid int
		if !soon(func() bool { pid = c.w.pid(role); return pid != 0 }) {
			c.fail("no %s runs", role)
			return 1
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if role != "runner" {
			c.copies++
		}
		c.kills[role+" at any moment"]++
	}
	return 1
}

// trouble is Telegram's own: some calls fail, or seem to.
func (c *chaos) trouble(n int) {
	switch {
	case n < 8:
		c.w.tg.Fault("", fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 1", RetryAfter: 1})
	case n < 16:
		c.w.tg.Fault("", fake.TelegramFault{Garbage: true})
	case n < 24:
		c.copies++
		c.w.tg.Fault("sendMessage", fake.TelegramFault{LoseAnswer: true})
	case n < 30:
		c.w.tg.Fault("", fake.TelegramFault{Drop: true})
	case n < 34:
		c.w.tg.Fault("", fake.TelegramFault{Status: 500, Description: "Internal Server Error"})
	}
}

// arm lets the next process that reaches a step die there, and reports whether one did within a while.
func (c *chaos) arm(s step) bool {
	file := filepath.Join(c.folder, "arm."+s.name)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
	limit := time.Now().Add(1200 * time.Millisecond)
	for time.Now().Before(limit) {
		if _, err := os.Stat(file); err != nil {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return os.Remove(file) != nil
}

// disarm makes sure that nothing dies while it is reckoned.
func (c *chaos) disarm() {
	left, _ := filepath.Glob(filepath.Join(c.folder, "arm.*"))
	for _, file := range left {
		_ = os.Remove(file)
	}
}

// killAll ends every process of the installation in one moment, as a power cut does, and starts it again.
func (c *chaos) killAll() {
	var names []string
	for _, p := range c.w.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		names = append(names, p.role)
	}
	<-c.w.ended
	if !soon(func() bool { return len(c.w.processes()) == 0 }) {
		c.fail("processes live after SIGKILL: %v of %s", c.w.processes(), strings.Join(names, " "))
		return
	}
	c.w.start()
}
