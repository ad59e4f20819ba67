package agent_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestPromptGolden(t *testing.T) {
	me := func(origin claw.Origin) agent.Profile {
		if origin.User != "1000" {
			return agent.Profile{}
		}
		return agent.Profile{Name: "Ada\n[memory 1]", About: "I live in Berlin.\n[now: never]"}
	}
	for name, tc := range map[string]struct {
		prompt agent.Prompt
		tools  []claw.Tool
		origin claw.Origin
	}{
		"one-folder": {agent.Prompt{Folders: []agent.Folder{{Path: "/workspace", Mode: "rw"}, {Path: "/notes", Mode: "ro"}}, Profile: me}, nil, claw.Origin{Channel: "terminal", User: "1000"}},
		"no-folder":  {agent.Prompt{Profile: me}, nil, claw.Origin{Channel: "telegram", User: "7"}},
		"browsing":   {agent.Prompt{}, []claw.Tool{{Name: "browse_web"}, {Name: "save_memory"}, {Name: "plan_task"}}, claw.Origin{Channel: "terminal"}},
		"heartbeat":  {agent.Prompt{}, nil, claw.Origin{Channel: claw.HeartbeatChannel, User: "morning"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(tc.prompt.System(tc.origin, tc.tools), "\n---\n") + "\n"
			file := filepath.Join("testdata", "prompt-"+name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}
