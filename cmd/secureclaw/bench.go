package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// benchPlan is what a run measures.
type benchPlan struct {
	count  int           // calls of each kind
	pages  int           // of kind web, which takes longer
	atOnce []int         // how many at once
	starts int           // of SecureClaw itself
	idle   time.Duration // how long its processor time is watched
	svg    string        // file for the picture, empty for none
}

func newBenchCmd(g *globals) *cobra.Command {
	p := benchPlan{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure calls on this machine, against plain containers in the same run",
		Long: `Starts two SecureClaws of its own in temporary folders, with the rehearsal model, one that keeps
containers ready and one that does not, and takes turns between their calls and what others do: a plain
container for each call, the engine's exec into one that is shared, and no container at all. Ratios
mean something on a busy machine; milliseconds are this machine's.

A page for the browser cannot be measured here: addresses of this computer are refused. What is measured
is a call whose page cannot be reached, so everything but the page; make bench measures whole pages.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			report, err := bench(cmd.Context(), p, cmd.ErrOrStderr())
			if cmd.Context().Err() != nil {
				return &failure{code: exitFailed, what: "interrupted"}
			}
			if err != nil {
				return err
			}
			if p.svg != "" {
				if err := writeBenchSVG(p.svg, report); err != nil {
					return err
				}
			}
			if g.JSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			printBench(cmd.OutOrStdout(), report)
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVarP(&p.count, "count", "n", 50, "calls of each kind")
	f.IntVar(&p.pages, "pages", 15, "calls of the browser; 0 leaves it out")
	f.IntSliceVar(&p.atOnce, "at-once", []int{1, 10, 50}, "how many sessions call at once, one after the other; 0 leaves that out")
	f.IntVar(&p.starts, "starts", 5, "how often SecureClaw is started")
	f.DurationVar(&p.idle, "idle", 30*time.Second, "how long to watch what it does when nothing is to be done; 0 leaves that out")
	f.StringVar(&p.svg, "svg", "", "draw the bars into this file")
	return cmd
}

// maxAtOnce is how many connections a gateway takes, with some left for its other clients.
const maxAtOnce = 60

func (p benchPlan) check() error {
	switch {
	case p.count < 1:
		return fmt.Errorf("--count %d: want 1 or more", p.count)
	case p.pages < 0:
		return fmt.Errorf("--pages %d: want 0 or more", p.pages)
	case p.starts < 1:
		return fmt.Errorf("--starts %d: want 1 or more", p.starts)
	case p.idle < 0:
		return fmt.Errorf("--idle %s: want 0 or more", p.idle)
	}
	for _, n := range p.atOnce {
		if n < 0 || n > maxAtOnce {
			return fmt.Errorf("--at-once %d: want 0 to %d", n, maxAtOnce)
		}
	}
	return nil
}

// benchReport is what bench measured. Times are milliseconds.
type benchReport struct {
	MeasuredOn string         `json:"measured_on"` // date
	Machine    benchMachine   `json:"machine"`
	Engine     string         `json:"engine"`
	Version    string         `json:"version"`
	Calls      []benchKind    `json:"calls"`
	AtOnce     []benchMany    `json:"at_once"`
	Ready      []benchWaiting `json:"ready_containers"`
	Processes  []benchProcess `json:"processes"`
	Start      benchStart     `json:"start"`
	Message    spread         `json:"message_without_tools_ms"`
}

// bench measures all, and leaves nothing behind however it ends.
func bench(ctx context.Context, p benchPlan, progress io.Writer) (report benchReport, err error) {
	folder, err := os.MkdirTemp("", "secureclaw-bench-")
	if err != nil {
		return benchReport{}, err
	}
	defer os.RemoveAll(folder)
	phone, err := newBenchPhone()
	if err != nil {
		return benchReport{}, err
	}
	defer phone.close()
	say := func(format string, args ...any) { fmt.Fprintf(progress, "bench: "+format+"\n", args...) }

	report = benchReport{MeasuredOn: time.Now().Format(time.DateOnly), Machine: thisMachine(), Version: buildVersion()}
	say("starting %s", plural(p.starts, "time"))
	report.Start, err = benchStarts(ctx, filepath.Join(folder, "start"), p.starts)
	if err != nil {
		return report, err
	}
	ready, err := openBenchHome(ctx, filepath.Join(folder, "ready"), "", phone.environ())
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, ready.close()) }()
	cold, err := openBenchHome(ctx, filepath.Join(folder, "cold"), "0", nil)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, cold.close()) }()
	report.Engine = ready.status.Engine

	// First, while nothing was asked of it: what it keeps by itself.
	if err := ready.settle(ctx); err != nil {
		return report, err
	}
	say("idle for %s", p.idle)
	report.Processes, err = benchIdle(ctx, ready, p.idle)
	if err != nil {
		return report, err
	}
	for _, k := range benchWorks(p) {
		say("%s of %s, of each way", plural(k.count, "call"), k.kind)
		kind, err := benchCalls(ctx, ready, cold, k)
		if err != nil {
			return report, err
		}
		report.Calls = append(report.Calls, kind)
	}
	report.Ready, err = ready.weigh(ctx)
	if err != nil {
		return report, err
	}
	report.Message, err = benchMessages(ctx, ready, p.count)
	if err != nil {
		return report, err
	}
	for _, n := range p.atOnce {
		if n == 0 {
			continue
		}
		say("%d at once", n)
		many, err := benchAtOnce(ctx, ready, n, p.count)
		if err != nil {
			return report, err
		}
		report.AtOnce = append(report.AtOnce, many)
	}
	return report, nil
}
