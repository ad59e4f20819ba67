//go:build docker

package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// hiddenWord stands in every secret of these tests and in nothing else.
const hiddenWord = "CANARY-4f1d"

// secretFiles are hidden by the built-in list, each for a reason of its own.
func secretFiles() []string {
	return []string{
		".env", ".ENV.local", "sub/.ssh/id_rsa", "sub/.ssh/deep/config", "sub/Server.PEM", "a/b/c/api_token.txt",
		".env\nnew line", ".env:colon=,ro", ".env ' \" \\ $(id)", ".env\u202e", "Пароль.password", "sub/.env\u2028x", ".ssh/known_hosts",
	}
}

// hideBed is a runner on the shipped executors, and a workspace of secrets and one plain file.
func hideBed(t *testing.T, keep config.Bytes) (*bed, string) {
	t.Helper()
	cfg := dockerConfig(t)
	cfg.Runner.Ready.Memory = keep
	for kind, e := range cfg.Executors {
		e.Image = "secureclaw/executor-" + kind + ":latest"
		e.Mounts = []string{"workspace"}
		if kind == kindWeb {
			delete(cfg.Executors, kind) // not asked for here, and its browser takes long to be ready
			continue
		}
		// As the claims are, so that the usual calls are these.
		e.CPUs, e.Pids = 0.5, 32
		cfg.Executors[kind] = e
	}
	cfg.Mounts[0].Hide = nil // nobody decided: the built-in list
	work := cfg.Mounts[0].Host
	for _, name := range secretFiles() {
		put(t, filepath.Join(work, name), hiddenWord+"\n")
	}
	put(t, filepath.Join(work, "plain"), "plain words\n")
	put(t, filepath.Join(work, "sub", "plain"), "plain words\n")
	return newBed(t, cfg), work
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// call runs one tool with access to the workspace and returns its last event.
func (b *bed) call(t *testing.T, tool, mode string, input any) run.Event {
	t.Helper()
	claims := workClaims()
	claims.Tool, claims.Audience = tool, kindOf(tool)
	claims.TimeoutMS, claims.Memory = 25_000, 256<<20
	claims.Mounts = []capability.Mount{{Name: "workspace", Mode: mode}}
	data, err := strict.CanonicalOf(input)
	if err != nil {
		t.Fatal(err)
	}
	b.prepared(t, claims.Audience)
	order := b.order(t, claims, string(data))
	events := b.ask(t, run.Request{Run: &order})
	return events[len(events)-1]
}

// output is what a call that ran gave back, of all kinds.
func output(t *testing.T, e run.Event) string {
	t.Helper()
	if e.Result == nil || e.Result.Output == nil {
		t.Fatalf("event = %+v, want a result", e)
	}
	return string(e.Result.Output.Value) + e.Result.Output.Error
}

func (b *bed) shell(t *testing.T, access, command string) string {
	t.Helper()
	return output(t, b.shellEvent(t, access, command))
}

func (b *bed) shellEvent(t *testing.T, access, command string) run.Event {
	t.Helper()
	mode := map[string]string{run.AccessRead: "ro", run.AccessWrite: "rw"}[access]
	return b.call(t, run.ToolShell, mode, run.Shell{Command: command, WorkingDirectory: "/workspace", TimeoutSeconds: 20, Access: access})
}

// Whatever a command that runs unasked tries, it gets no byte of a secret, and it learns why.
func TestCommandsDoNotReadSecrets(t *testing.T) { bothWays(t, commandsDoNotReadSecrets) }

func commandsDoNotReadSecrets(t *testing.T, keep config.Bytes) {
	b, work := hideBed(t, keep)
	if err := os.Symlink("../.env", filepath.Join(work, "sub", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub", filepath.Join(work, "linked")); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{
		"cat":               "cat .env* .ENV* sub/.ssh/id_rsa sub/.ssh/deep/config sub/Server.PEM",
		"every name":        "shopt -s globstar dotglob nullglob; for f in **; do cat -- \"$f\"; done",
		"grep -r":           "grep -r . .; grep -R . .",
		"rg":                "rg --hidden --no-ignore --follow . ; rg -uuu -a .",
		"find -exec":        "find / -xdev -type f -name '*' -path '*workspace*' -exec cat {} +; find . -exec cat {} \\;",
		"python":            "python3 - <<'P'\nimport os\nfor d,_,fs in os.walk('.'):\n  for f in fs:\n    try: print(open(os.path.join(d,f)).read())\n    except OSError as e: print(e)\nP",
		"tar":               "tar cf - . | cat",
		"cp":                "cp -r . /tmp/x; chmod -R u+rwX /tmp/x; grep -r . /tmp/x",
		"through a link":    "cat sub/link linked/.ssh/id_rsa; cd linked && cat ../.env",
		"through /proc":     "cat /proc/self/root/workspace/.env /proc/1/root/workspace/.env /proc/self/cwd/.env; cd /proc/self/cwd && cat .env",
		"an open folder":    "exec 3</workspace; cat /proc/self/fd/3/.env; cat /dev/fd/3/sub/.ssh/id_rsa",
		"chmod":             "chmod 777 .env sub/.ssh; cat .env sub/.ssh/id_rsa",
		"taking it off":     "umount .env; umount -l sub/.ssh; mount --bind /workspace /tmp; unshare -Urm sh -c 'umount /workspace/.env; cat /workspace/.env'; cat .env /tmp/.env",
		"mv and ln":         "mv .env /tmp/e; ln .env /tmp/l; ln sub/.ssh/id_rsa x; cat /tmp/e /tmp/l",
		"git add":           "cp -r . /tmp/g; cd /tmp/g && git init -q . && git add -A && git grep --cached . ; git diff --no-index /dev/null /workspace/.env",
		"other letter case": "cat .ENV.local .Env SUB/.ssh/id_rsa sub/server.pem",
	} {
		t.Run(name, func(t *testing.T) {
			e := b.shellEvent(t, run.AccessRead, command)
			b.came(t, e.Result)
			if got := output(t, e); strings.Contains(got, hiddenWord) {
				t.Errorf("%s shows a secret:\n%s", command, got)
			}
		})
	}
	got := b.shell(t, run.AccessRead, "cat plain sub/plain .env; ls -A; ls sub/.ssh")
	for _, want := range []string{"plain words", "cat: .env: Permission denied", ".ENV.local", "cannot open directory 'sub/.ssh': Permission denied"} {
		if !strings.Contains(got, want) {
			t.Errorf("a command does not see %q:\n%s", want, got)
		}
	}
	for _, name := range secretFiles() { // nothing happened to the files themselves
		if data, err := os.ReadFile(filepath.Join(work, name)); err != nil || string(data) != hiddenWord+"\n" {
			t.Errorf("on the host %q = %q, %v", name, data, err)
		}
	}
}

// The user agreed to the call, or the policy judged its one path: nothing is covered.
func TestAgreedCallsReadSecrets(t *testing.T) {
	b, work := hideBed(t, 0)
	if err := os.Chmod(filepath.Join(work, ".env"), 0o666); err != nil { // tools run as user 1000
		t.Fatal(err)
	}
	for _, name := range secretFiles() {
		if got := output(t, b.call(t, run.ToolReadFile, "ro", run.ReadFile{Path: "/workspace/" + name})); !strings.Contains(got, hiddenWord) {
			t.Errorf("read_file %q = %s, want its content", name, got)
		}
	}
	got := b.shell(t, run.AccessWrite, "cat .env sub/.ssh/id_rsa; echo changed > .env; rm .ENV.local")
	if strings.Count(got, hiddenWord) != 2 {
		t.Errorf("an approved command sees %s, want both secrets", got)
	}
	if data, err := os.ReadFile(filepath.Join(work, ".env")); err != nil || string(data) != "changed\n" {
		t.Errorf("an approved command wrote %q, %v", data, err)
	}
	if _, err := os.Lstat(filepath.Join(work, ".ENV.local")); !os.IsNotExist(err) {
		t.Errorf("an approved command removed a secret: %v", err)
	}
	if got := output(t, b.call(t, run.ToolStat, "ro", run.Stat{Path: "/workspace/sub/.ssh/id_rsa"})); !strings.Contains(got, `"size":12`) {
		t.Errorf("stat = %s, want the file itself", got)
	}
}

// A search that runs unasked skips secrets and says that it did. One that names a secret, which the
// policy asks about, finds it, and no other.
func TestSearchesDoNotReadSecrets(t *testing.T) { bothWays(t, searchesDoNotReadSecrets) }

func searchesDoNotReadSecrets(t *testing.T, keep config.Bytes) {
	b, _ := hideBed(t, keep)
	search := func(path string) string {
		t.Helper()
		e := b.call(t, run.ToolSearchFiles, "ro", run.SearchFiles{Pattern: "CANARY|plain", Path: path})
		if path == "/workspace" { // another path may show what this one hides
			b.came(t, e.Result)
		}
		return output(t, e)
	}
	for _, path := range []string{"/workspace", "/workspace/sub", "/workspace/a/b"} {
		if got := search(path); strings.Contains(got, hiddenWord) {
			t.Errorf("search in %s = %s", path, got)
		}
	}
	if got := search("/workspace"); !strings.Contains(got, "plain words") || !strings.Contains(got, "could not be searched") || !strings.Contains(got, "ermission denied") {
		t.Errorf("search = %s, want the plain lines and that some files could not be searched", got)
	}
	for path, want := range map[string]int{
		"/workspace/.env": 1, "/workspace/.ENV.local": 1, "/workspace/sub/.ssh": 2, "/workspace/sub/.ssh/id_rsa": 1, "/workspace/sub/.ssh/deep": 1,
		"/workspace/.env\nnew line": 1, "/workspace/sub/link": 0, "/workspace/x/../.env": 0,
	} {
		if got := search(path); strings.Count(got, hiddenWord) != want {
			t.Errorf("search in %q = %s, want %d secrets", path, got, want)
		}
	}
}

// Nothing is remembered: what the user makes between two calls is hidden from the second.
func TestNewSecretsAreHidden(t *testing.T) { bothWays(t, newSecretsAreHidden) }

func newSecretsAreHidden(t *testing.T, keep config.Bytes) {
	b, work := hideBed(t, keep)
	if got := b.shell(t, run.AccessRead, "cat later/.env.production"); !strings.Contains(got, "No such file") {
		t.Fatalf("before: %s", got)
	}
	b.prepared(t, "shell") // one waits that was made before
	put(t, filepath.Join(work, "later", ".env.production"), hiddenWord)
	if got := b.shell(t, run.AccessRead, "cat later/.env.production"); strings.Contains(got, hiddenWord) || !strings.Contains(got, "Permission denied") {
		t.Errorf("after: %s", got)
	}
	// The same name, now a folder.
	b.prepared(t, "shell")
	if err := os.Remove(filepath.Join(work, "later", ".env.production")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(work, "later", ".env.production", "x"), hiddenWord)
	if got := b.shell(t, run.AccessRead, "cat later/.env.production/x"); strings.Contains(got, hiddenWord) || !strings.Contains(got, "Permission denied") {
		t.Errorf("as a folder: %s", got)
	}
}

// What the papers call limits is what happens: a link's target and a second name are judged by
// their own names, and so is what git stored.
func TestLimitsOfHiding(t *testing.T) { bothWays(t, limitsOfHiding) }

func limitsOfHiding(t *testing.T, keep config.Bytes) {
	b, work := hideBed(t, keep)
	put(t, filepath.Join(work, "config", "real"), "BEHIND-A-LINK\n")
	if err := os.Symlink("config/real", filepath.Join(work, ".env.link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(work, ".env.absolute")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(work, ".env.dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(work, "a/b/c/api_token.txt"), filepath.Join(work, "second")); err != nil {
		t.Fatal(err)
	}
	got := b.shell(t, run.AccessRead, "cat .env.link; cat second; cat a/b/c/api_token.txt; cat /etc/hostname; ls nowhere")
	for _, want := range []string{"BEHIND-A-LINK", hiddenWord, "api_token.txt: Permission denied", "sandbox", "cannot access 'nowhere'"} {
		if !strings.Contains(got, want) {
			t.Errorf("output lacks %q:\n%s", want, got)
		}
	}
	if _, err := os.Lstat(filepath.Join(work, "nowhere")); !os.IsNotExist(err) {
		t.Errorf("a dangling link made something on the host: %v", err)
	}
}

// Sockets and FIFOs with such names are covered as files are: opening one waits for nobody.
func TestSpecialFilesAreHidden(t *testing.T) {
	b, work := hideBed(t, 0)
	if err := unix.Mkfifo(filepath.Join(work, ".env.fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := b.shell(t, run.AccessRead, "timeout 5 cat .env.fifo"); !strings.Contains(got, "Permission denied") {
		t.Errorf("output = %s", got)
	}
}

func TestExplicitlyNothingIsHidden(t *testing.T) {
	b, _ := hideBed(t, 0)
	b.cfg.Mounts[0].Hide = []string{}
	if got := b.shell(t, run.AccessRead, "cat .env"); !strings.Contains(got, hiddenWord) {
		t.Errorf("output = %s, want the file: hide is []", got)
	}
	b.cfg.Mounts[0].Hide = []string{"sub"}
	if got := b.shell(t, run.AccessRead, "cat .env sub/plain"); !strings.Contains(got, hiddenWord) || !strings.Contains(got, "sub/plain: Permission denied") {
		t.Errorf("output = %s, want .env and not sub", got)
	}
}

// What cannot be hidden is not shown either: nothing runs, and the reason says what to do.
func TestUnhideableRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		make func(t *testing.T, work string)
		why  string
	}{
		"a name that is not UTF-8": {func(t *testing.T, work string) { put(t, filepath.Join(work, "x\xff", ".env"), hiddenWord) }, "not UTF-8"},
		"too many": {func(t *testing.T, work string) {
			for i := range 501 {
				put(t, filepath.Join(work, "many", "token"+strings.Repeat("x", i%100)+"-"+time.Duration(i).String()), hiddenWord)
			}
		}, "More than 500"},
		"a path too long": {func(t *testing.T, work string) {
			dir := work
			for range 16 {
				dir = filepath.Join(dir, strings.Repeat("d", 240))
			}
			put(t, filepath.Join(dir, ".env"), hiddenWord)
		}, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			b, work := hideBed(t, 0)
			tc.make(t, work)
			e := b.call(t, run.ToolShell, "ro", run.Shell{Command: "true", WorkingDirectory: "/workspace", TimeoutSeconds: 5, Access: run.AccessRead})
			if e.Refusal == nil || e.Refusal.Code != "hide" || !strings.Contains(e.Refusal.Why, tc.why) || e.Refusal.Fix == "" {
				t.Fatalf("event = %+v, want the refusal hide because %q", e, tc.why)
			}
			t.Logf("%+v", *e.Refusal)
			if got := b.shell(t, run.AccessWrite, "cat .env"); !strings.Contains(got, hiddenWord) {
				t.Errorf("an approved command is refused too: %s", got)
			}
		})
	}
}

// A command can wait for the user to save a secret. It sees it then, and nobody sees what it says.
func TestSecretsThatAppearMeanwhile(t *testing.T) { bothWays(t, secretsThatAppearMeanwhile) }

func secretsThatAppearMeanwhile(t *testing.T, keep config.Bytes) {
	for name, happen := range map[string]func(t *testing.T, work string){
		"made":     func(t *testing.T, work string) { put(t, filepath.Join(work, "sub", ".env.new"), hiddenWord) },
		"replaced": func(t *testing.T, work string) { replace(t, filepath.Join(work, ".env")) },
		"a folder replaced": func(t *testing.T, work string) {
			if err := os.Rename(filepath.Join(work, "sub", ".ssh"), filepath.Join(work, "sub", ".ssh.old")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(work, "sub", ".ssh", "id_rsa"), hiddenWord)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, work := hideBed(t, keep)
			claims := workClaims()
			claims.TimeoutMS, claims.Memory = 25_000, 256<<20
			claims.Mounts = []capability.Mount{{Name: "workspace", Mode: "ro"}}
			input, err := strict.CanonicalOf(run.Shell{
				Command:          "until [ -e go ]; do sleep 0.05; done; cat .env sub/.env.new sub/.ssh/id_rsa",
				WorkingDirectory: "/workspace", TimeoutSeconds: 20, Access: run.AccessRead,
			})
			if err != nil {
				t.Fatal(err)
			}
			b.prepared(t, "shell")
			done, _ := b.start(t, claims, string(input)) // the container lives
			happen(t, work)
			put(t, filepath.Join(work, "go"), "")
			events := done()
			if len(events) != 1 || events[0].Result == nil {
				t.Fatalf("events = %+v, want a result", events)
			}
			b.came(t, events[0].Result)
			if r := events[0].Result; r.Outcome != run.Broken || r.Output != nil || !strings.Contains(r.Detail, "withheld") {
				t.Errorf("result = %+v, output %+v, want it withheld", r, r.Output)
			}
		})
	}
	b, work := hideBed(t, keep)
	claims := workClaims()
	claims.TimeoutMS, claims.Memory = 25_000, 256<<20
	claims.Mounts = []capability.Mount{{Name: "workspace", Mode: "ro"}}
	b.prepared(t, "shell")
	done, _ := b.start(t, claims, `{"access":"read","command":"until [ -e go ]; do sleep 0.05; done; cat plain .env","timeout_seconds":20,"working_directory":"/workspace"}`)
	put(t, filepath.Join(work, ".env"), hiddenWord) // in place: the cover holds
	if err := os.Remove(filepath.Join(work, ".ENV.local")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(work, "go"), "")
	if events := done(); len(events) != 1 || strings.Contains(output(t, events[0]), hiddenWord) || !strings.Contains(output(t, events[0]), "plain words") {
		t.Errorf("written in place, and one removed: events = %+v, want the plain words alone", events)
	}
}

// replace saves a file as careful editors do.
func replace(t *testing.T, path string) {
	t.Helper()
	put(t, path+"~", hiddenWord)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}
