package secureclaw_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// row is one package of ours and all packages of ours that it may import.
type row struct {
	pkg string
	may []string
}

// table is the house: from the ground up, so that a row names only packages that stand before it.
// Every arrow points down. A package that is not here does not live anywhere yet.
var table = []row{
	{"", nil},
	{"config", nil},
	{"e2e", nil}, // tests only

	// What both sides of a wall must agree on, and nothing else.
	{"internal/strict", nil},
	{"internal/seal", nil},
	{"internal/domain", nil},
	{"internal/tunnel", nil},
	{"internal/queue", nil},
	{"internal/run", list("internal/strict")},
	{"internal/wire", list("internal/strict")},
	{"internal/profile", list("internal/wire")},
	{"internal/capability", list("internal/strict")},
	{"internal/cron", nil}, // what the configuration accepts is what the clock understands
	{"internal/config", list("config internal/cron internal/domain internal/strict")},
	{"internal/fake", nil}, // speaks the wire of others, written from their papers

	// Inside the container.
	{"executor", list("internal/capability internal/run internal/strict")},
	{"executor/shell", list("executor internal/run internal/strict")},
	{"executor/file", list("executor internal/run internal/strict")},
	{"executor/web/internal/snapshot", list("executor internal/run internal/strict")},
	{"executor/web", list("executor executor/web/internal/snapshot internal/domain internal/run internal/strict")},
	{"cmd/executor-shell", list("executor executor/shell")},
	{"cmd/executor-file", list("executor executor/file")},
	{"cmd/executor-web", list("executor executor/web internal/tunnel")},

	// The hands.
	{"runner/internal/sandbox", list("internal/run internal/strict internal/tunnel internal/wire")},
	{"runner/internal/egress", list("internal/domain internal/run internal/strict")},
	{"runner", list("runner/internal/egress runner/internal/sandbox internal/capability internal/config internal/domain internal/queue internal/run internal/strict internal/tunnel internal/wire")},

	// The brain: nouns first, wiring last.
	{"gateway/internal/claw", list("internal/strict")},
	{"gateway/internal/policy", list("gateway/internal/claw internal/config internal/domain internal/strict")},
	{"gateway/internal/audit", list("internal/strict")},
	{"gateway/internal/gate", list("gateway/internal/claw gateway/internal/policy gateway/internal/audit internal/strict")},
	{"gateway/internal/outbox", list("gateway/internal/claw internal/strict internal/wire")},
	{"gateway/internal/llm", list("gateway/internal/claw internal/strict")},
	{"gateway/internal/llm/internal/link", list("gateway/internal/llm internal/strict")},
	{"gateway/internal/llm/anthropic", list("gateway/internal/claw gateway/internal/llm gateway/internal/llm/internal/link internal/strict")},
	{"gateway/internal/llm/openai", list("gateway/internal/claw gateway/internal/llm gateway/internal/llm/internal/link internal/strict")},
	{"gateway/internal/llm/rehearsal", list("gateway/internal/claw gateway/internal/llm internal/run internal/strict")}, // writes arguments of run's tools
	// It looks into pages that were read, for links that a call may quote: pure packages, no way out.
	{"gateway/internal/agent", list("gateway/internal/claw gateway/internal/gate gateway/internal/llm internal/domain internal/run internal/strict")},
	{"gateway/internal/memory", list("gateway/internal/claw gateway/internal/gate internal/strict")},
	{"gateway/internal/task", list("gateway/internal/agent gateway/internal/claw gateway/internal/gate internal/strict")},
	{"gateway/internal/heartbeat", list("gateway/internal/claw internal/cron")},
	{"gateway/internal/dispatch", list("gateway/internal/claw gateway/internal/gate internal/capability internal/config internal/domain internal/queue internal/run internal/strict internal/wire")},
	{"gateway/internal/chat", list("gateway/internal/agent gateway/internal/claw gateway/internal/gate gateway/internal/outbox internal/strict internal/wire")},
	{"gateway/internal/sqlite", list("gateway/internal/agent gateway/internal/chat gateway/internal/claw gateway/internal/gate gateway/internal/heartbeat gateway/internal/llm gateway/internal/memory gateway/internal/outbox gateway/internal/task internal/strict internal/wire")},
	{"gateway", list("gateway/internal/agent gateway/internal/audit gateway/internal/chat gateway/internal/claw gateway/internal/dispatch " +
		"gateway/internal/gate gateway/internal/heartbeat gateway/internal/memory gateway/internal/task gateway/internal/llm gateway/internal/llm/anthropic gateway/internal/llm/openai gateway/internal/llm/rehearsal " +
		"gateway/internal/outbox gateway/internal/policy gateway/internal/sqlite internal/capability internal/config internal/run internal/seal internal/strict internal/wire")},

	// The mouth.
	{"bridge/telegram/internal/entity", nil},
	{"bridge/telegram/internal/card", list("bridge/telegram/internal/entity internal/strict internal/wire")},
	{"bridge/telegram", list("bridge/telegram/internal/card bridge/telegram/internal/entity internal/strict internal/wire")},

	{"cmd/secureclaw", list("bridge/telegram config gateway runner internal/capability internal/config internal/profile internal/run internal/seal internal/strict internal/wire")},
}

func list(names string) []string { return strings.Fields(names) }

// ban is one thing that the build refuses, and why.
type ban struct {
	name    string
	because string
	broken  func(graph) []string // each a sentence
}

var bans = []ban{
	{"every arrow is in the table", "the table is the plan of the house; an arrow that nobody decided on is how walls go", offTable},
	{"blind packages reach no world", "who decides must have no way to act: a model that takes over the loop finds no socket, process or database there", blindReach},
	{"blind packages do not import os", "the user's files are the executor's, and settings come as values", blindOS},
	{"gateway starts no process", "the brain has no hands: only a container runs commands", gatewayExec},
	{"processes are started where they may be", "outside a container the supervisor alone starts programs, and only our own", execElsewhere},
	{"gateway reaches no Docker client", "whoever can talk to the engine is root on the host", gatewayDocker},
	{"one package holds the Docker client", "every container is built in one place, where its flags can be read", dockerElsewhere},
	{"the browser's driver stays in its container", "a DevTools client can read every file of the machine whose browser it drives", browserElsewhere},
	{"one package speaks SQL", "the schema has one owner", sqlElsewhere},
	{"shell and file executors reach no network", "their containers have none, not even to a way out; their program must not know how, even through somebody else's package", executorNet},
	{"executors reach neither gateway nor runner", "what runs beside hostile code carries no code of the brain", executorWalls},
	{"runner reaches no gateway", "the hands judge what the brain sends by their own reading", runnerWalls},
	{"the bridge reaches a messenger and a socket", "whoever takes over what strangers write to finds no key, no engine, no database and no way to start a program", bridgeWalls},
	{"one package serves profiles", "a profile shows a process from inside: it is served on one socket, to one user, and never by what reads strangers' bytes", profilesElsewhere},
	{"no package without a noun", "code that fits no noun has no owner", shapeless},
	{"no test code in programs", "a fake that ships is a way around the real thing", testCode},
}

func TestImports(t *testing.T) {
	g := load(t)
	for _, b := range bans {
		t.Run(b.name, func(t *testing.T) {
			for _, sentence := range b.broken(g) {
				t.Errorf("%s\n\twhy not: %s", sentence, b.because)
			}
		})
	}
}

// The table itself points down, and says each thing once.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table {
		for _, below := range r.may {
			if !seen[below] {
				t.Errorf("%s may import %s, which does not stand below it", r.pkg, below)
			}
		}
		if seen[r.pkg] {
			t.Errorf("%s stands twice", r.pkg)
		}
		seen[r.pkg] = true
	}
}

func offTable(g graph) []string {
	may := map[string][]string{}
	for _, r := range table {
		may[r.pkg] = r.may
	}
	var out []string
	for _, name := range g.ours("") {
		allowed, ok := may[name]
		if !ok {
			out = append(out, fmt.Sprintf("%s is not in the table of deps_test.go: decide where it lives first", name))
			continue
		}
		for _, imp := range g[ours+name].Imports {
			if rel, ok := strings.CutPrefix(imp, ours); ok && !slices.Contains(allowed, rel) {
				out = append(out, fmt.Sprintf("%s imports %s, and the table does not allow it", name, rel))
			}
		}
	}
	return out
}

// blind are the packages that decide and must not act.
var blind = list("gateway/internal/claw gateway/internal/policy gateway/internal/gate gateway/internal/agent " +
	"gateway/internal/task gateway/internal/memory gateway/internal/heartbeat")

func blindReach(g graph) []string {
	var out []string
	for _, name := range g.ours(blind...) {
		for imp, way := range sorted(g.through(name)) {
			for _, target := range list("net os/exec database/sql") {
				// Of the standard library everything that leads there counts (crypto/x509, log/syslog);
				// of other modules only what is imported by name, or no JSON library would pass.
				if imp == target || g[imp].Standard && g.reaches(imp, target) {
					out = append(out, fmt.Sprintf("%s reaches %s: %s", name, target, way))
				}
			}
		}
	}
	return out
}

func blindOS(g graph) []string { return importers(g, g.ours(blind...), "os") }

func gatewayExec(g graph) []string {
	var out []string
	for _, name := range g.ours("gateway") {
		if way, ok := g.through(name)["os/exec"]; ok {
			out = append(out, fmt.Sprintf("%s reaches os/exec: %s", name, way))
		}
	}
	return out
}

func execElsewhere(g graph) []string {
	return importers(g, except(g, "cmd/secureclaw", "executor", "executor/shell", "executor/file", "executor/web", "internal/fake"), "os/exec")
}

func gatewayDocker(g graph) []string {
	var out []string
	for _, name := range g.ours("gateway") {
		for _, dep := range g[ours+name].Deps {
			if isDocker(dep) {
				out = append(out, fmt.Sprintf("%s reaches %s", name, dep))
			}
		}
	}
	return out
}

func dockerElsewhere(g graph) []string {
	var out []string
	for _, name := range except(g, "runner/internal/sandbox") {
		for _, imp := range g[ours+name].Imports {
			if isDocker(imp) {
				out = append(out, fmt.Sprintf("%s imports %s", name, imp))
			}
		}
	}
	return out
}

func isDocker(name string) bool {
	return under(name, "github.com/moby") || under(name, "github.com/docker")
}

func sqlElsewhere(g graph) []string {
	return importers(g, except(g, "gateway/internal/sqlite"), "database/sql", "modernc.org/sqlite")
}

func executorNet(g graph) []string {
	return reachers(g, g.ours("executor/shell", "executor/file", "cmd/executor-shell", "cmd/executor-file"), func(dep string) bool { return dep == "net" })
}

func browserElsewhere(g graph) []string {
	return reachers(g, except(g, "executor/web", "executor/web/internal/snapshot", "cmd/executor-web"), func(dep string) bool { return strings.HasPrefix(dep, "github.com/chromedp/") })
}

func executorWalls(g graph) []string {
	executors := slices.DeleteFunc(g.ours("executor", "cmd"), func(name string) bool { return name == "cmd/secureclaw" })
	return reachers(g, executors, func(dep string) bool { return under(dep, ours+"gateway") || under(dep, ours+"runner") })
}

func profilesElsewhere(g graph) []string {
	serves := func(dep string) bool {
		return slices.Contains(list("net/http/pprof runtime/pprof runtime/trace expvar "+ours+"internal/profile"), dep)
	}
	return reachers(g, except(g, "internal/profile", "internal/fake", "cmd/secureclaw"), serves)
}

func runnerWalls(g graph) []string {
	return reachers(g, g.ours("runner"), func(dep string) bool { return under(dep, ours+"gateway") })
}

func bridgeWalls(g graph) []string {
	return reachers(g, g.ours("bridge"), func(dep string) bool {
		return under(dep, ours+"gateway") || under(dep, ours+"runner") || dep == ours+"internal/capability" || dep == ours+"internal/config" ||
			dep == "os/exec" || dep == "database/sql" || isDocker(dep)
	})
}

func shapeless(g graph) []string {
	var out []string
	for _, name := range g.ours("") {
		for _, word := range list("util utils common shared types helper helpers misc manager") {
			if path.Base(name) == word || g[ours+name].Name == word {
				out = append(out, fmt.Sprintf("%s is named %s", name, word))
			}
		}
	}
	return out
}

func testCode(g graph) []string {
	out := importers(g, except(g, "internal/fake"), "testing", ours+"internal/fake")
	return append(out, reachers(g, g.ours("cmd"), func(dep string) bool { return dep == "testing" || dep == ours+"internal/fake" })...)
}
