package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// printBench writes the report as Markdown, ratios first.
func printBench(w io.Writer, r benchReport) {
	fmt.Fprintf(w, "%s · %s · secureclaw %s\n%s\n\n", r.MeasuredOn, r.Engine, r.Version, r.Machine)
	printRatios(w, r)
	printTimes(w, r.Calls)
	printAtOnce(w, r.AtOnce)
	printIdle(w, r)
	fmt.Fprintf(w, "message without a tool, socket to socket: %s ms (p50 / p95 / p99)\n", three(r.Message))
	fmt.Fprintf(w, "start to ready, %s: %s ms\n", plural(r.Start.Starts, "start"), three(r.Start.ToUp))
	for _, kind := range slices.Sorted(maps.Keys(r.Start.ToReady)) {
		fmt.Fprintf(w, "start to the first %s container that waits: %s ms\n", kind, three(r.Start.ToReady[kind]))
	}
	if len(r.Start.ToReady) == 0 {
		fmt.Fprintln(w, "no container waited before the first call")
	}
}

// printRatios says how the ways compare: medians over what was measured in turn.
func printRatios(w io.Writer, r benchReport) {
	heads := []string{"ratio, median of what was measured in turn"}
	rows := [][]string{{"ready call ÷ plain container"}, {"ready call ÷ docker exec into a shared container"}, {"cold call ÷ plain container"},
		{"ready call above a process blocked in a container, ms"}, {"calls that found a container ready"}}
	for _, k := range r.Calls {
		heads = append(heads, k.Kind)
		ready, above := fmt.Sprintf("%d of %d", k.FoundReady, k.Count), "–"
		if k.FoundReady == 0 {
			ready = "none were ready"
		}
		if k.ReadyAbove != 0 {
			above = fmt.Sprintf("%.2f", k.ReadyAbove)
		}
		for i, cell := range []string{bold(k.ReadyToPlain), bold(k.ReadyToExec), bold(k.ColdToPlain), above, ready} {
			rows[i] = append(rows[i], cell)
		}
	}
	for i, goal := range []string{"≤ 0.067", "≤ 0.20", "≤ 1.10", "≤ 3", "all"} {
		rows[i] = append(rows[i], goal)
	}
	printTable(w, append(heads, "goal"), rows)
}

func printTimes(w io.Writer, calls []benchKind) {
	heads := []string{"ms, p50 / p95 / p99"}
	rows := make([][]string, len(benchWays)+2)
	for i, way := range benchWays {
		rows[i] = []string{way.name}
	}
	rows[len(benchWays)], rows[len(benchWays)+1] = []string{"of the ready call, neither engine nor tool"}, []string{"of the cold call, neither engine nor tool"}
	for _, k := range calls {
		heads = append(heads, k.Kind)
		for i, way := range benchWays {
			rows[i] = append(rows[i], three(way.of(k)))
		}
		rows[len(benchWays)] = append(rows[len(benchWays)], three(k.ReadyOurs))
		rows[len(benchWays)+1] = append(rows[len(benchWays)+1], three(k.ColdOurs))
	}
	printTable(w, heads, rows)
}

// benchWay is one way to do a call's work.
type benchWay struct {
	name, short string
	ours        bool
	of          func(benchKind) spread
}

var benchWays = []benchWay{
	{"**ready call**", "SecureClaw, container ready", true, func(k benchKind) spread { return k.Ready }},
	{"**cold call**", "SecureClaw, container started for it", true, func(k benchKind) spread { return k.Cold }},
	{"docker exec into a shared container", "docker exec, shared container", false, func(k benchKind) spread { return k.Exec }},
	{"plain container, made and removed", "plain container for each call", false, func(k benchKind) spread { return k.Plain }},
	{"one line to a process blocked in a container", "process blocked in a container", false, func(k benchKind) spread { return k.Blocked }},
	{"fork and exec on the host, no wall", "fork and exec, no wall", false, func(k benchKind) spread { return k.Fork }},
	{"one line to a process blocked on the host, no wall", "process blocked, no wall", false, func(k benchKind) spread { return k.Pipe }},
}

func printAtOnce(w io.Writer, all []benchMany) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, m := range all {
		rows = append(rows, []string{
			fmt.Sprint(m.Sessions), fmt.Sprintf("**%.2f**", m.ToPlain), fmt.Sprintf("%.1f", m.CallsPerSecond), fmt.Sprintf("%.1f", m.PlainPerSecond),
			three(m.Wait), three(m.Plain), fmt.Sprintf("%.1f", m.Fairness), fmt.Sprintf("%d of %d", m.Failed, m.Calls), fmt.Sprint(m.Ready),
		})
	}
	printTable(w, []string{"sessions at once (shell)", "calls/s ÷ plain", "calls/s", "plain calls/s", "message to reply, ms", "plain, ms", "longest ÷ median", "failed", "found ready"}, rows)
	for _, m := range all {
		if m.Why != "" {
			fmt.Fprintf(w, "%d at once, the first that failed: %s\n\n", m.Sessions, visibleLine(m.Why))
		}
	}
}

func printIdle(w io.Writer, r benchReport) {
	goals := map[string]string{"gateway": "≤ 40", "runner": "≤ 30", "bridge": "≤ 20"}
	var rows [][]string
	for _, p := range r.Processes {
		cpu := "–"
		if p.IdleSeconds > 0 {
			cpu = fmt.Sprintf("%.0f ms in %.0f s", p.CPUMS, p.IdleSeconds)
		}
		rows = append(rows, []string{p.Role, fmt.Sprintf("**%.1f**", p.ResidentMB), goals[p.Role], cpu})
	}
	printTable(w, []string{"idle", "resident, MB", "goal", "processor time"}, rows)
	if len(r.Ready) == 0 {
		return
	}
	rows = nil
	seen := func(mb float64) string {
		if mb == 0 {
			return "not to be seen by this user"
		}
		return fmt.Sprintf("%.1f", mb)
	}
	for _, c := range r.Ready {
		rows = append(rows, []string{c.Kind, fmt.Sprint(c.Containers), seen(c.CgroupMB), seen(c.PSSMB), seen(c.ShimMB)})
	}
	printTable(w, []string{"one waiting container", "of", "counts against its limit, MB", "its processes (PSS), MB", "the engine's shim (PSS), MB"}, rows)
}

func printTable(w io.Writer, heads []string, rows [][]string) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}

// three are the quantiles of a spread.
func three(s spread) string {
	if s == (spread{}) {
		return "–"
	}
	return figure(s.P50) + " / " + figure(s.P95) + " / " + figure(s.P99)
}

// figure writes a time with as many digits as mean something.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func bold(ratio float64) string {
	switch {
	case ratio == 0:
		return "–"
	case ratio < 0.1:
		return fmt.Sprintf("**%.3f**", ratio)
	default:
		return fmt.Sprintf("**%.2f**", ratio)
	}
}
