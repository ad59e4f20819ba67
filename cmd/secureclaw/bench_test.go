package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner"
)

func TestQuantiles(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(99 - i)
	}
	for name, tc := range map[string]struct {
		values []float64
		want   spread
	}{
		"none":     {nil, spread{}},
		"one":      {[]float64{7}, spread{7, 7, 7}},
		"unsorted": {[]float64{3, 1, 2}, spread{2, 3, 3}},
		"hundred":  {hundred, spread{50, 95, 99}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantiles(tc.values); got != tc.want {
				t.Errorf("quantiles = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRatio(t *testing.T) {
	for name, tc := range map[string]struct {
		of, by []float64
		want   float64
	}{
		"pairs":          {[]float64{1, 1, 1}, []float64{2, 4, 10}, 0.25},
		"none":           {nil, nil, 0},
		"a pair missing": {[]float64{1, 2}, []float64{1}, 0},
		"by nothing":     {[]float64{1, 1}, []float64{0, 2}, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ratio(tc.of, tc.by); got != tc.want {
				t.Errorf("ratio(%v, %v) = %v, want %v", tc.of, tc.by, got, tc.want)
			}
		})
	}
}

// A call that should have found a waiting container and did not is no ready call, whatever it took.
func TestOnlyReadyCallsCount(t *testing.T) {
	var s series
	for _, one := range []turn{
		{ready: wire.Step{Ready: true, DurationMS: 4, ContainerMS: 3}, plain: 100 * time.Millisecond, exec: 40 * time.Millisecond, line: time.Millisecond, cold: wire.Step{DurationMS: 90}},
		{ready: wire.Step{DurationMS: 80}, plain: 200 * time.Millisecond, exec: 40 * time.Millisecond, line: time.Millisecond, cold: wire.Step{DurationMS: 190}},
	} {
		s.add(one, true)
	}
	got := s.sum(benchWork{kind: "shell", count: 2})
	if got.FoundReady != 1 || got.Ready.P50 != 4 || got.ReadyToPlain != 0.04 || got.ReadyToExec != 0.1 || got.ReadyAbove != 3 || got.ReadyOurs.P50 != 1 {
		t.Errorf("ready: %+v, want the one call that found a container, beside what was measured in its own turn", got)
	}
	if got.ColdToPlain != 0.95 {
		t.Errorf("cold ÷ plain = %v, want 0.95", got.ColdToPlain)
	}
}

func TestBenchPlan(t *testing.T) {
	good := benchPlan{count: 1, starts: 1, atOnce: []int{0, 1, maxAtOnce}}
	if err := good.check(); err != nil {
		t.Errorf("check(%+v) = %v, want nil", good, err)
	}
	for name, p := range map[string]benchPlan{
		"no call":          {starts: 1},
		"no start":         {count: 1},
		"negative pages":   {count: 1, starts: 1, pages: -1},
		"negative idle":    {count: 1, starts: 1, idle: -1},
		"too many at once": {count: 1, starts: 1, atOnce: []int{maxAtOnce + 1}},
	} {
		if err := p.check(); err == nil {
			t.Errorf("%s: check(%+v) = nil, want an error", name, p)
		}
	}
}

// A call counts as measured when it came to what it was made for, and a page that cannot be reached when a
// container tried.
func TestMeasuredCall(t *testing.T) {
	for name, tc := range map[string]struct {
		work benchWork
		step wire.Step
		ok   bool
	}{
		"done":                    {benchWork{}, wire.Step{Status: "ok"}, true},
		"failed":                  {benchWork{}, wire.Step{Status: "failed", ContainerMS: 3}, false},
		"no page, but a browser":  {benchWork{fails: true}, wire.Step{Status: "failed", ContainerMS: 900}, true},
		"no page, and no browser": {benchWork{fails: true}, wire.Step{Status: "refused"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.work.check(&wire.Reply{Calls: []wire.Step{tc.step}})
			if (err == nil) != tc.ok {
				t.Errorf("check(%+v) = %v, want ok %v", tc.step, err, tc.ok)
			}
		})
	}
	if _, err := (benchWork{}).check(&wire.Reply{Text: "I did nothing"}); err == nil {
		t.Error("a reply without a call counts as one")
	}
}

func TestCountAtOnce(t *testing.T) {
	var m benchMany
	m.count([]stepOrError{{step: wire.Step{Ready: true}}, {}, {err: &failure{what: "busy", why: "64 calls wait"}}, {err: errors.New("later")}})
	if m.Failed != 2 || m.Ready != 1 || m.Why != "busy: 64 calls wait" {
		t.Errorf("count = %+v, want 2 failed, 1 ready, and what the first was told", m)
	}
}

func TestTogether(t *testing.T) {
	seen := make([]int, 6)
	each, all := together(3, 2, func(session, round int) {
		seen[session*2+round]++
		time.Sleep(time.Millisecond)
	})
	if diff := cmp.Diff([]int{1, 1, 1, 1, 1, 1}, seen); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, took := range each {
		if took < 1 || took > ms(all) {
			t.Errorf("a call took %v ms of %v, want at least its own", took, all)
		}
	}
}

func TestFloor(t *testing.T) {
	f, err := newFloor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, way := range map[string]func(context.Context) (time.Duration, error){"fork": f.fork, "line": f.line} {
		if took, err := way(t.Context()); err != nil || took <= 0 {
			t.Errorf("%s = %v, %v", name, took, err)
		}
	}
	if err := f.close(); err != nil {
		t.Errorf("close = %v, want the process to end with its input", err)
	}
}

func TestProcessorMS(t *testing.T) {
	before := processorMS(os.Getpid())
	for began := time.Now(); time.Since(began) < 80*time.Millisecond; {
		_ = strings.Repeat("x", 1<<16)
	}
	if after := processorMS(os.Getpid()); after <= before {
		t.Errorf("processor time went from %v to %v ms, want more", before, after)
	}
	if got := processorMS(0); got != 0 {
		t.Errorf("processor time of nobody = %v", got)
	}
}

// The configurations that bench writes differ from everybody's in what they are to measure alone.
func TestBenchConfig(t *testing.T) {
	load := func(ready string) *config.Config {
		home := t.TempDir()
		dirs, err := (&globals{Home: home}).dirs()
		if err != nil {
			t.Fatal(err)
		}
		if err := dirs.Prepare(); err != nil {
			t.Fatal(err)
		}
		if ready != "shipped" {
			if err := writeBenchConfig(dirs.Config, ready); err != nil {
				t.Fatal(err)
			}
		}
		cfg, warnings, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
		if err != nil || len(warnings) > 0 {
			t.Fatalf("Load = %v, %v", warnings, err)
		}
		return cfg
	}
	shipped, ready, cold := load("shipped"), load(""), load("0")
	if ready.Runner != shipped.Runner || cold.Runner.Ready.Memory != 0 {
		t.Errorf("ready keeps %v, cold %v; want %v and none", ready.Runner, cold.Runner, shipped.Runner)
	}
	if diff := cmp.Diff(shipped.Executors, ready.Executors); diff != "" {
		t.Errorf("executors (-shipped +bench):\n%s", diff)
	}
}

func TestThisMachine(t *testing.T) {
	m := thisMachine()
	if m.Cores < 1 || m.Kernel == "" || m.Load == "" || m.CPU == "" {
		t.Errorf("this machine is %+v", m)
	}
	path := filepath.Join(t.TempDir(), "cpuinfo")
	if err := os.WriteFile(path, []byte("processor\t: 0\nmodel name\t: A: B\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := procField(path, "model name"); got != "A: B" {
		t.Errorf("model name = %q, want %q", got, "A: B")
	}
}

// What a plain container reads lies where bench puts it.
func TestPlainFile(t *testing.T) {
	if works := benchWorks(benchPlan{count: 1}); len(works) != 2 || !strings.HasSuffix(works[1].text, runner.PlainFile) {
		t.Errorf("works = %+v, want shell and file, which reads %s", works, runner.PlainFile)
	}
}
