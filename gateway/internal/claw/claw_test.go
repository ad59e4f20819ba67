package claw_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func TestZeroIsTheStrictest(t *testing.T) {
	var tier claw.Tier
	if tier != claw.Ask {
		t.Errorf("zero Tier = %v, want it to ask", tier)
	}
	var label claw.Label
	if label.Integrity != claw.External || label.Privacy != claw.Private {
		t.Errorf("zero Label = %v, want external and private", label)
	}
	var result claw.ToolResult
	if !result.IsError() {
		t.Error("zero ToolResult is a success")
	}
}

func labels() *rapid.Generator[claw.Label] {
	return rapid.Custom(func(t *rapid.T) claw.Label {
		l := claw.Label{
			Integrity: claw.Integrity(rapid.IntRange(0, 2).Draw(t, "integrity")),
			Privacy:   claw.Privacy(rapid.IntRange(0, 1).Draw(t, "privacy")),
		}
		sources := rapid.SliceOfN(rapid.SampledFrom([]string{"web a", "web b", "mail c", "file d"}), 0, 4).Draw(t, "sources")
		if rapid.Bool().Draw(t, "many") {
			sources = append(sources, rapid.SliceOfN(rapid.StringMatching(`[a-z]{3}`), 0, 40).Draw(t, "more")...)
		}
		return l.Join(claw.Label{Integrity: l.Integrity, Privacy: l.Privacy, Sources: sources})
	})
}

func TestJoinIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := labels().Draw(t, "a"), labels().Draw(t, "b"), labels().Draw(t, "c")
		if got, want := a.Join(b), b.Join(a); !reflect.DeepEqual(got, want) {
			t.Fatalf("a∨b = %+v, b∨a = %+v", got, want)
		}
		if got, want := a.Join(b).Join(c), a.Join(b.Join(c)); !reflect.DeepEqual(got, want) {
			t.Fatalf("(a∨b)∨c = %+v, a∨(b∨c) = %+v", got, want)
		}
		if got := a.Join(a); !reflect.DeepEqual(got, a) {
			t.Fatalf("a∨a = %+v, want %+v", got, a)
		}
		if j := a.Join(b); j.Integrity > a.Integrity || j.Integrity > b.Integrity || j.Privacy > a.Privacy || j.Privacy > b.Privacy {
			t.Fatalf("%+v ∨ %+v = %+v is better than its parts", a, b, j)
		}
	})
}

func TestLabelSurvivesJSON(t *testing.T) {
	want := claw.Label{Integrity: claw.Owned, Privacy: claw.Public, Sources: []string{"file /workspace/a"}}
	data, err := strict.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var got claw.Label
	if err := strict.Decode(data, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s decodes to %+v, %v; want %+v", data, got, err, want)
	}
}

func TestDigestDependsOnEveryField(t *testing.T) {
	base := claw.Action{Tool: "write_file", Executor: "file", Input: strict.Value(`{"path":"/workspace/a"}`), Mounts: []claw.MountGrant{{Name: "workspace", Mode: "rw"}}, TimeoutMS: 1000}
	seen := map[string]string{}
	for name, change := range map[string]func(*claw.Action){
		"base":     func(*claw.Action) {},
		"tool":     func(a *claw.Action) { a.Tool = "read_file" },
		"executor": func(a *claw.Action) { a.Executor = "shell" },
		"input":    func(a *claw.Action) { a.Input = strict.Value(`{"path":"/workspace/b"}`) },
		"mount":    func(a *claw.Action) { a.Mounts = []claw.MountGrant{{Name: "home", Mode: "rw"}} },
		"mode":     func(a *claw.Action) { a.Mounts = []claw.MountGrant{{Name: "workspace", Mode: "ro"}} },
		"domains":  func(a *claw.Action) { a.Domains = []string{"example.com"} },
		"timeout":  func(a *claw.Action) { a.TimeoutMS = 2000 },
	} {
		a := base
		change(&a)
		d, err := a.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[d]; ok {
			t.Errorf("actions %q and %q share a digest", name, other)
		}
		seen[d] = name
	}
}
