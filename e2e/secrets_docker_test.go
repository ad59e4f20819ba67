//go:build docker

package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// noSecrets looks for every secret of the installation, as it is and in the usual codes, in all that
// the installation wrote: state, sockets' folder, workspace, output and logs, and what the model was sent.
func (w *world) noSecrets() {
	w.t.Helper()
	_ = filepath.WalkDir(w.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == w.path(".env") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil {
			w.clean(path, string(data))
		}
		return nil
	})
	w.clean("the log", w.said.String())
	w.clean("what commands print", w.shown.String())
	if w.tg != nil {
		for _, call := range w.tg.Calls() {
			w.clean("what Telegram was told by "+call.Method, fmt.Sprint(call.Params, call.Files))
		}
	}
	if w.model == nil {
		return
	}
	for _, r := range w.model.Requests() {
		w.clean("a request to the model", string(r.Body))
	}
	for _, h := range w.model.Headers() {
		h.Del("X-Api-Key") // its one place
		for name, values := range h {
			w.clean("header "+name, strings.Join(values, " "))
		}
	}
}

// clean fails when a text holds a secret.
func (w *world) clean(where, text string) {
	w.t.Helper()
	for name, secret := range w.secrets {
		for _, spelling := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
			if strings.Contains(text, spelling) {
				w.t.Errorf("%s stands in %s", name, where)
			}
		}
	}
}

// Whatever a model asks for, and wherever it ends up, no secret of the installation is in it: not in
// the container while it runs, not in what the engine shows of it, not in the log of a model that knows one.
func TestSecretsStayHome(t *testing.T) {
	t.Parallel()
	bothWays(t, secretsStayHome)
}

func secretsStayHome(t *testing.T, ready bool) {
	model := fake.NewAnthropic(t)
	w := startWorld(t, setting{model: model, telegram: []int64{owner}, ready: ready})

	// A user pastes a key, the model repeats it into a command: the audit log keeps the entry without it.
	key := w.secrets["ANTHROPIC_API_KEY"]
	model.Script(says("I will not repeat it."))
	pasted := w.newTalk("is this key good: " + key)
	if doc := pasted(); doc.Reply != "I will not repeat it." {
		t.Errorf("reply = %q", doc.Reply)
	}
	for _, line := range w.audit() {
		w.clean("the audit log", line)
	}

	w.isReady("shell")
	model.Script(calls(shell("touch /tmp/here; sleep 3", 10)), says("done"))
	talk := w.newTalk("wait a moment")
	id := w.oneContainer()
	shown, err := exec.Command("docker", "inspect", id).Output()
	if err != nil {
		t.Fatal(err)
	}
	w.clean("docker inspect", string(shown))
	for _, hidden := range []string{"/tmp/here", "secureclaw-cap", "eyJ"} {
		if strings.Contains(string(shown), hidden) {
			t.Errorf("docker inspect shows %q: task and token belong on stdin", hidden)
		}
	}
	if doc := talk(); doc.Reply != "done" {
		t.Errorf("reply = %q", doc.Reply)
	}
	// What the user wrote himself is his conversation, and stays in it: do not look for it at the end.
	delete(w.secrets, "ANTHROPIC_API_KEY")
}
