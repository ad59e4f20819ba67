//go:build docker

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// TestScripts runs the stories in testdata. Beside the commands of testscript there are:
//
//	up | down                    start SecureClaw, stop it as a user does
//	model says TEXT              its next answer is a text
//	model calls TOOL JSON …      its next answer calls tools
//	model heard TEXT             waits until its newest request holds the text
//	model asked N                it got N requests so far
//	exits CODE PROGRAM ARG…      the command ends with exactly that code
//	json PATH = TEXT             one value of the JSON on stdout (calls.0.tier)
//	card                         waits for an open question; its code is in $CARD
//	kill ROLE                    SIGKILL, then waits for its successor
//	container                    waits until a call runs
//	appears FILE                 waits until the file is there: the command in the container has begun
//	containers N                 waits until so many are there, running or not, beside those that wait for a call
//	audit has KIND TEXT…         waits until an entry of the kind holds all texts
//	audit count N KIND TEXT…     waits until exactly N do
//	eventually N COMMAND…        the program exits with N at last
//
// Those about containers are told twice: with containers that are started for each call, and with such as wait for it.
// A script that has a model's line talks to it, any other one to the rehearsal model. A file
// secureclaw.yaml in a script is its configuration. $W is the workspace, $HOMEDIR what it lies in.
func TestScripts(t *testing.T) {
	p := testscript.Params{
		Dir:                "testdata",
		Setup:              setupScript(false),
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": cmdUp, "down": cmdDown, "model": cmdModel, "exits": cmdExits, "json": cmdJSON, "card": cmdCard,
			"crash": cmdCrash, "container": cmdContainer, "appears": cmdAppears, "containers": cmdContainers, "audit": cmdAudit, "eventually": cmdEventually,
		},
	}
	testscript.Run(t, p)
	p.Dir, p.Setup = "", setupScript(true)
	for _, name := range []string{"rehearsal", "kill-running", "kill-runner", "kill-approved", "sigterm-running"} {
		p.Files = append(p.Files, "testdata/"+name+".txtar")
	}
	t.Run("ready", func(t *testing.T) { testscript.Run(t, p) })
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func setupScript(ready bool) func(*testscript.Env) error {
	return func(env *testscript.Env) error { return setupWorld(env, setting{ready: ready}) }
}

func setupWorld(env *testscript.Env, s setting) error {
	t := env.T().(testing.TB)
	script, err := os.ReadFile("testdata/" + path.Base(t.Name()) + ".txtar")
	if err != nil {
		return err
	}
	if strings.Contains(string(script), "\nmodel ") {
		s.model = fake.NewAnthropic(t)
	}
	if config, err := os.ReadFile(env.WorkDir + "/secureclaw.yaml"); err == nil {
		s.config = string(config)
	}
	w := newWorld(t, s)
	env.Values[worldKey{}] = w
	env.Vars = append(env.Vars, bareEnv()...)
	env.Setenv("SECURECLAW_HOME", w.home)
	env.Setenv("W", w.path("workspace"))
	env.Setenv("HOMEDIR", w.home)
	return nil
}

func cmdUp(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	w.start()
	w.isReady("shell")
}

func cmdDown(ts *testscript.TestScript, neg bool, args []string) { worldOf(ts).stop() }

func cmdModel(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	need(ts, len(args) >= 2, "model says|calls|heard|asked …")
	switch verb, args := args[0], args[1:]; verb {
	case "says":
		w.model.Script(says(args[0]))
	case "calls":
		need(ts, len(args)%2 == 0, "model calls TOOL JSON …")
		var list []fake.Call
		for pair := range slices.Chunk(args, 2) {
			list = append(list, fake.Call{Tool: pair[0], Input: pair[1]})
		}
		w.model.Script(calls(list...))
	case "heard":
		if neg {
			if strings.Contains(heard(w.model), args[0]) {
				ts.Fatalf("the model heard %q", args[0])
			}
			return
		}
		w.eventually("the model heard "+args[0], func() bool { return strings.Contains(heard(w.model), args[0]) })
	case "asked":
		if want, err := strconv.Atoi(args[0]); err != nil || len(w.model.Requests()) != want {
			ts.Fatalf("the model got %d requests, want %s", len(w.model.Requests()), args[0])
		}
	default:
		ts.Fatalf("model %s?", verb)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) >= 2, "exits CODE PROGRAM ARG…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], code, want)
	}
}

// cmdJSON looks up one value in the document on stdout.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 3 && args[1] == "=", "json PATH = TEXT")
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &value))
	for step := range strings.SplitSeq(args[0], ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				ts.Fatalf("%s: no %s among %d", args[0], step, len(v))
			}
			value = v[i]
		default:
			ts.Fatalf("%s: nothing below %v", args[0], value)
		}
	}
	got, ok := value.(string)
	if !ok {
		data, err := json.Marshal(value)
		ts.Check(err)
		got = string(data)
	}
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %s, want %s (or not)", args[0], got, args[2])
	}
}

func cmdCard(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("CARD", worldOf(ts).card())
}

func cmdCrash(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 1, "crash ROLE")
	worldOf(ts).kill(args[0])
}

func cmdContainer(ts *testscript.TestScript, neg bool, args []string) { worldOf(ts).oneContainer() }

func cmdContainers(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 1, "containers N")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	w := worldOf(ts)
	w.eventually(args[0]+" containers", func() bool { return w.besides() == want })
}

func cmdAudit(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	need(ts, len(args) >= 2, "audit has KIND TEXT… | audit count N KIND TEXT…")
	// What precedes no effect reaches the disk a moment later.
	if args[0] == "has" {
		w.eventually(fmt.Sprintf("the log has %q", args[1:]), func() bool { return w.entries(args[1], args[2:]...) > 0 })
		return
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	w.eventually(fmt.Sprintf("the log has %d entries of %q", want, args[2:]), func() bool { return w.entries(args[2], args[3:]...) == want })
}

func cmdAppears(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "appears FILE")
	worldOf(ts).eventually(args[0]+" appears", func() bool {
		_, err := os.Stat(args[0])
		return err == nil
	})
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) >= 2, "eventually CODE ARG…")
	w := worldOf(ts)
	var last outcome
	w.eventually(fmt.Sprint(args), func() bool {
		last = w.claw(args[1:]...)
		return strconv.Itoa(last.code) == args[0]
	})
	fmt.Fprint(ts.Stdout(), last.stdout)
	fmt.Fprint(ts.Stderr(), last.stderr)
}

func need(ts *testscript.TestScript, ok bool, usage string) {
	if !ok {
		ts.Fatalf("usage: %s", usage)
	}
}
