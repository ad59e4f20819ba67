package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner"
)

func newBenchCmd(g *globals) *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure calls on this machine, against plain containers in the same run",
		Long: `Starts a SecureClaw of its own in a temporary folder, with the rehearsal model, and alternates whole
calls with plain containers of the same image made by the engine's API. Ratios mean something on a
busy machine; milliseconds are this machine's.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 {
				return fmt.Errorf("%w: -n %d: want 1 or more", errUsage, n)
			}
			report, err := bench(cmd.Context(), n, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if g.JSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			printBench(cmd.OutOrStdout(), report)
			return nil
		},
	}
	cmd.Flags().IntVarP(&n, "count", "n", 50, "calls of each kind")
	return cmd
}

// benchReport is what bench measured. Times are milliseconds.
type benchReport struct {
	Calls       int         `json:"calls"` // of each kind
	StartToUp   float64     `json:"start_to_ready_ms"`
	GatewayMB   float64     `json:"gateway_resident_mb"`
	RunnerMB    float64     `json:"runner_resident_mb"`
	Engine      string      `json:"engine"`
	Executors   []benchKind `json:"executors"`
	MeasuredOn  string      `json:"measured_on"` // date
	MessageToOK spread      `json:"message_without_tools_ms"`
}

// benchKind is one kind of call beside its baseline.
type benchKind struct {
	Kind  string `json:"kind"`
	Call  spread `json:"call_ms"`  // model's call parsed → result in hand
	Ours  spread `json:"ours_ms"`  // the part of it that is neither engine nor tool
	Plain spread `json:"plain_ms"` // plain container of the same image, removed
	// Ratio is the median over pairs of call/plain.
	Ratio float64 `json:"call_to_plain"`
}

// spread is a distribution by its quantiles.
type spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

func bench(ctx context.Context, n int, progress io.Writer) (benchReport, error) {
	home, err := os.MkdirTemp("", "secureclaw-bench-")
	if err != nil {
		return benchReport{}, err
	}
	defer os.RemoveAll(home)
	g := &globals{Home: home}
	dirs, err := g.dirs()
	if err != nil {
		return benchReport{}, err
	}
	if err := dirs.Prepare(); err != nil {
		return benchReport{}, err
	}
	cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: os.Getenv})
	if err != nil {
		return benchReport{}, err
	}
	if err := os.WriteFile(filepath.Join(home, "workspace", "a.txt"), []byte("hello\n"), 0o644); err != nil {
		return benchReport{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	// Without a key of its own it rehearses: no model's time is measured, and no money spent.
	done, status, err := launch(ctx, g, dirs, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DOCKER_HOST=" + os.Getenv("DOCKER_HOST")}, slog.New(slog.DiscardHandler))
	if err != nil {
		return benchReport{}, err
	}
	report := benchReport{Calls: n, StartToUp: ms(time.Since(began)), Engine: status.Engine, MeasuredOn: time.Now().Format(time.DateOnly)}
	defer func() { cancel(); <-done }()
	if status.Runner != "ok" {
		return report, &failure{exitMissing, "no call can run, so nothing can be measured", status.Runner, status.Fix}
	}
	conn, err := dialGateway(ctx, g)
	if err != nil {
		return report, err
	}
	defer conn.Close()
	report.GatewayMB, report.RunnerMB = resident(status.PID), resident(childNamed("runner"))
	plain := runner.Options{Config: cfg, DockerHost: os.Getenv("DOCKER_HOST"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Log: slog.New(slog.DiscardHandler)}
	for _, k := range []struct{ kind, text string }{{"shell", "run: true"}, {"file", "read a.txt"}} {
		kind, err := benchCalls(ctx, conn, plain, k.kind, k.text, n, progress)
		if err != nil {
			return report, err
		}
		report.Executors = append(report.Executors, kind)
	}
	report.MessageToOK, err = benchMessages(ctx, conn, n)
	return report, err
}

func benchCalls(ctx context.Context, conn *wire.Conn, plain runner.Options, kind, text string, n int, progress io.Writer) (benchKind, error) {
	var call, ours, base, ratios []float64
	for i := range n + 2 {
		fmt.Fprintf(progress, "\r%s %d/%d ", kind, max(0, i-1), n)
		took, err := runner.PlainCall(ctx, plain, kind)
		if err != nil {
			return benchKind{}, fmt.Errorf("plain container: %w", err)
		}
		reply, err := say(ctx, conn, "bench-"+newRef(), text)
		if err != nil {
			return benchKind{}, err
		}
		if len(reply.Calls) != 1 || reply.Calls[0].Status != "ok" {
			return benchKind{}, &failure{code: exitFailed, what: "a measured call did not succeed", why: reply.Text}
		}
		if i < 2 {
			continue // warm-up
		}
		c := reply.Calls[0]
		call = append(call, c.DurationMS)
		ours = append(ours, c.DurationMS-c.ContainerMS)
		base = append(base, ms(took))
		ratios = append(ratios, c.DurationMS/ms(took))
	}
	fmt.Fprintln(progress)
	return benchKind{Kind: kind, Call: quantiles(call), Ours: quantiles(ours), Plain: quantiles(base), Ratio: quantiles(ratios).P50}, nil
}

// benchMessages measures a message whose answer needs no tool: socket, store, history, log, reply.
func benchMessages(ctx context.Context, conn *wire.Conn, n int) (spread, error) {
	var all []float64
	for range n {
		began := time.Now()
		if _, err := say(ctx, conn, "bench-"+newRef(), "help"); err != nil {
			return spread{}, err
		}
		all = append(all, ms(time.Since(began)))
	}
	return quantiles(all), nil
}

// say sends one message and waits for its reply.
func say(ctx context.Context, conn *wire.Conn, session, text string) (*wire.Reply, error) {
	id := newRef()
	if err := conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: session, Text: text}}); err != nil {
		return nil, lost(ctx, err)
	}
	var reply *wire.Reply
	err := receive(ctx, conn, func(down wire.Down) (bool, error) {
		switch {
		case down.Fault != nil:
			return true, faultError(down.Fault)
		case down.Reply != nil && down.Reply.Message == id:
			reply = down.Reply
			return true, nil
		}
		return false, nil
	})
	return reply, err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantiles(values []float64) spread {
	slices.Sort(values)
	at := func(q float64) float64 { return values[min(len(values)-1, int(q*float64(len(values))))] }
	return spread{at(0.5), at(0.95), at(0.99)}
}

func printBench(w io.Writer, r benchReport) {
	fmt.Fprintf(w, "%s · %s · %d calls of each kind\n\n", r.MeasuredOn, r.Engine, r.Calls)
	fmt.Fprintf(w, "| whole call | call ÷ plain container | call p50 / p95 / p99 ms | plain p50 / p95 / p99 ms | neither engine nor tool, p50 / p95 ms |\n|---|---|---|---|---|\n")
	for _, k := range r.Executors {
		fmt.Fprintf(w, "| %s | **%.2f** | %.0f / %.0f / %.0f | %.0f / %.0f / %.0f | %.2f / %.2f |\n", k.Kind, k.Ratio,
			k.Call.P50, k.Call.P95, k.Call.P99, k.Plain.P50, k.Plain.P95, k.Plain.P99, k.Ours.P50, k.Ours.P95)
	}
	fmt.Fprintf(w, "\nmessage without a tool, socket to socket: p50 %.2f ms, p95 %.2f ms\n", r.MessageToOK.P50, r.MessageToOK.P95)
	fmt.Fprintf(w, "start to ready: %.0f ms · resident: gateway %.1f MB, runner %.1f MB\n", r.StartToUp, r.GatewayMB, r.RunnerMB)
}
