package secureclaw_test

import (
	"strings"
	"testing"
)

// Every ban bites: a made-up tree that breaks it alone is reported, with the package's name.
func TestBansBite(t *testing.T) {
	tested := map[string]bool{}
	for name, tc := range map[string]struct {
		ban  string
		tree []pkg
		want string
	}{
		"a package nobody placed":      {"every arrow is in the table", tree("gateway/internal/oracle"), "gateway/internal/oracle is not in the table of deps_test.go: decide where it lives first"},
		"an arrow up":                  {"every arrow is in the table", tree("gateway/internal/claw", module+"/gateway/internal/gate"), "claw imports gateway/internal/gate"},
		"a socket in the gate":         {"blind packages reach no world", tree("gateway/internal/gate", "net"), "gate reaches net"},
		"a socket behind our own":      {"blind packages reach no world", append(tree("gateway/internal/gate", module+"/internal/strict"), tree("internal/strict", "net")...), "gate → internal/strict → net"},
		"a socket behind crypto/x509":  {"blind packages reach no world", append(tree("gateway/internal/agent", "crypto/x509"), pkg{ImportPath: "crypto/x509", Standard: true, Deps: []string{"net"}}), "agent reaches net"},
		"a process in the policy":      {"blind packages reach no world", tree("gateway/internal/policy", "os/exec"), "policy reaches os/exec"},
		"a database in the loop":       {"blind packages reach no world", tree("gateway/internal/agent", "database/sql"), "agent reaches database/sql"},
		"files in the nouns":           {"blind packages do not import os", tree("gateway/internal/claw", "os"), "claw imports os"},
		"a process in the gateway":     {"gateway starts no process", append(tree("gateway", module+"/internal/config"), tree("internal/config", "os/exec")...), "gateway → internal/config → os/exec"},
		"a process in the runner":      {"processes are started where they may be", tree("runner", "os/exec"), "runner imports os/exec"},
		"Docker behind a library":      {"gateway reaches no Docker client", []pkg{{ImportPath: module + "/gateway/internal/chat", Deps: []string{"github.com/moby/moby/client"}}}, "chat reaches github.com/moby/moby/client"},
		"Docker in the supervisor":     {"one package holds the Docker client", tree("cmd/secureclaw", "github.com/moby/moby/client"), "cmd/secureclaw imports"},
		"SQL in the chat":              {"one package speaks SQL", tree("gateway/internal/chat", "database/sql"), "chat imports database/sql"},
		"a browser's driver outside":   {"the browser's driver stays in its container", []pkg{{ImportPath: module + "/runner", Deps: []string{"github.com/chromedp/cdproto/dom"}}}, "runner reaches github.com/chromedp/cdproto/dom"},
		"a network in an executor":     {"shell and file executors reach no network", []pkg{{ImportPath: module + "/cmd/executor-file", Deps: []string{"crypto/x509", "net"}}}, "cmd/executor-file reaches net"},
		"the brain in an executor":     {"executors reach neither gateway nor runner", []pkg{{ImportPath: module + "/executor", Deps: []string{module + "/gateway"}}}, "executor reaches ours:gateway"},
		"the hands in an executor":     {"executors reach neither gateway nor runner", []pkg{{ImportPath: module + "/cmd/executor-web", Deps: []string{module + "/runner"}}}, "cmd/executor-web reaches ours:runner"},
		"the brain in the hands":       {"runner reaches no gateway", []pkg{{ImportPath: module + "/runner", Deps: []string{module + "/gateway"}}}, "runner reaches ours:gateway"},
		"the brain in the mouth":       {"the bridge reaches a messenger and a socket", []pkg{{ImportPath: module + "/bridge/telegram", Deps: []string{module + "/gateway/internal/claw"}}}, "bridge/telegram reaches ours:gateway/internal/claw"},
		"a process in the mouth":       {"the bridge reaches a messenger and a socket", []pkg{{ImportPath: module + "/bridge/telegram/internal/card", Deps: []string{"os/exec"}}}, "card reaches os/exec"},
		"profiles in an executor":      {"one package serves profiles", []pkg{{ImportPath: module + "/cmd/executor-shell", Deps: []string{"net/http/pprof"}}}, "cmd/executor-shell reaches net/http/pprof"},
		"a folder named util":          {"no package without a noun", []pkg{{ImportPath: module + "/internal/util", Name: "strings"}}, "internal/util is named util"},
		"a package named helpers":      {"no package without a noun", []pkg{{ImportPath: module + "/internal/x", Name: "helpers"}}, "internal/x is named helpers"},
		"package testing in the house": {"no test code in programs", tree("internal/wire", "testing"), "internal/wire imports testing"},
		"a fake in a program":          {"no test code in programs", []pkg{{ImportPath: module + "/cmd/secureclaw", Deps: []string{module + "/internal/fake"}}}, "cmd/secureclaw reaches ours:internal/fake"},
	} {
		tested[tc.ban] = true
		t.Run(name, func(t *testing.T) {
			g := graph{}
			for _, p := range tc.tree {
				g.add(p)
			}
			for _, b := range bans {
				if b.name != tc.ban {
					continue
				}
				if got := strings.Join(b.broken(g), "\n"); !strings.Contains(got, tc.want) {
					t.Errorf("%s: says %q, want %q", b.name, got, tc.want)
				}
				return
			}
			t.Errorf("no ban is called %q", tc.ban)
		})
	}
	for _, b := range bans {
		if !tested[b.name] {
			t.Errorf("nothing here breaks the ban %q: does it bite?", b.name)
		}
	}
}

// tree is one package of ours with its imports.
func tree(name string, imports ...string) []pkg {
	return []pkg{{ImportPath: module + "/" + name, Imports: imports}}
}
