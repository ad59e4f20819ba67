package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// tree makes files (and folders, with a slash at the end) in a new folder.
func tree(tb testing.TB, names ...string) string {
	tb.Helper()
	top := tb.TempDir()
	for _, name := range names {
		path := filepath.Join(top, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return top
}

func look(tb testing.TB, b bounds, m Mount, shown string) ([]string, *run.Refusal) {
	tb.Helper()
	s := scan{bounds: b, until: time.Now().Add(b.time)}
	found, refusal := s.mount(tb.Context(), m, shown)
	var out []string
	for _, h := range found {
		out = append(out, h.rel+map[bool]string{true: "/"}[h.dir])
	}
	slices.Sort(out)
	return out, refusal
}

func TestScan(t *testing.T) {
	top := tree(t, ".env", "plain", "a/.ENV.local", "a/b/.ssh/id_rsa", "a/b/.ssh/config", "a/b/plain", "x\ny/.env:z", "empty/", "tokens/deep/plain", "private/one", "private/two/three")
	for link, to := range map[string]string{".env.link": "plain", "id_link": "a", "linked": "a", ".env.dangling": "nowhere", ".env.out": "/etc"} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{".env", "a/.ENV.local", "a/b/.ssh/", "private/", "tokens/", "x\ny/.env:z"}
	without := func(gone string, more ...string) []string {
		list := append(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == gone }), more...)
		slices.Sort(list)
		return list
	}
	for name, tc := range map[string]struct {
		shown string
		want  []string
	}{
		"nothing named":                   {"", all},
		"the mount itself":                {"/w", all},
		"a plain folder":                  {"/w/a", all},
		"another mount's":                 {"/x/.env", all},
		"a name that begins like it":      {"/w2/.env", all},
		"not clean":                       {"/w/a/../.env", all},
		"a hidden file":                   {"/w/.env", without(".env")},
		"in another letter case":          {"/w/.Env", all}, // no such file
		"a hidden folder":                 {"/w/a/b/.ssh", without("a/b/.ssh/")},
		"a file in one":                   {"/w/a/b/.ssh/config", without("a/b/.ssh/", "a/b/.ssh/id_rsa")},
		"deep in a folder hidden by name": {"/w/private/two/three", without("private/", "private/one")},
		"a folder in one":                 {"/w/private/two", without("private/", "private/one")},
		"missing in a hidden folder":      {"/w/private/none", without("private/", "private/one", "private/two/")},
		"below a file":                    {"/w/.env/x", without(".env")}, // it is on the way
	} {
		t.Run(name, func(t *testing.T) {
			got, refusal := look(t, usualBounds(), Mount{Source: top, Target: "/w", Hide: append(shipped(), "private")}, tc.shown)
			if refusal != nil {
				t.Fatalf("scan = %+v", *refusal)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("scan with %q named (-want +got):\n%s", tc.shown, diff)
			}
		})
	}
}

// What the scan cannot finish is a refusal, with a way out of it.
func TestScanBounds(t *testing.T) {
	top := tree(t, "a/.env", "a/.env2", "b/c/d/e/plain", "plain")
	for name, tc := range map[string]struct {
		change func(*bounds)
		want   string // of the reason; empty: no refusal
	}{
		"the usual":          {func(*bounds) {}, ""},
		"just enough names":  {func(b *bounds) { b.entries = 9 }, ""},
		"too many names":     {func(b *bounds) { b.entries = 8 }, "more than 8 files"},
		"just enough covers": {func(b *bounds) { b.covers = 2 }, ""},
		"too many covers":    {func(b *bounds) { b.covers = 1 }, `2 of those in /w lie in "a"`},
		"no time":            {func(b *bounds) { b.time = -1 }, "took longer"},
		"the zero bounds":    {func(b *bounds) { *b = bounds{} }, "more than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := usualBounds()
			tc.change(&b)
			got, refusal := look(t, b, Mount{Source: top, Target: "/w", Hide: shipped()}, "")
			switch {
			case tc.want == "" && (refusal != nil || len(got) != 2):
				t.Errorf("scan = %q, %+v, want two covers", got, refusal)
			case tc.want != "" && (refusal == nil || refusal.Code != CodeHide || !strings.Contains(refusal.Why, tc.want) || refusal.What == "" || refusal.Fix == ""):
				t.Errorf("scan = %q, %+v, want a refusal because %q", got, refusal, tc.want)
			}
		})
	}
	if _, refusal := look(t, usualBounds(), Mount{Source: top, Target: "/w", Hide: []string{strings.Repeat("{a,b}", 12)}}, ""); refusal == nil || refusal.Code != CodeHide {
		t.Errorf("scan by a pattern of 4096 = %+v, want %s", refusal, CodeHide)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := scan{bounds: usualBounds(), until: time.Now().Add(time.Hour)}
	if _, refusal := s.mount(ctx, Mount{Source: top, Target: "/w", Hide: shipped()}, ""); refusal == nil || refusal.Code != CodeCancelled {
		t.Errorf("cancelled scan = %+v, want %s", refusal, CodeCancelled)
	}
	if _, refusal := look(t, usualBounds(), Mount{Source: filepath.Join(top, "none"), Target: "/w", Hide: shipped()}, ""); refusal == nil || refusal.Code != CodeHide {
		t.Errorf("scan of a missing folder = %+v, want %s", refusal, CodeHide)
	}
}

// Where the scan cannot look, the container cannot either.
func TestScanCoversWhatItCannotSee(t *testing.T) {
	top := tree(t, "a/b/c/.env", "a/b/plain", "plain")
	b := usualBounds()
	b.levels = 1
	if got, refusal := look(t, b, Mount{Source: top, Target: "/w", Hide: shipped()}, ""); refusal != nil || !slices.Equal(got, []string{"a/b/"}) {
		t.Errorf("scan of one level = %q, %+v, want a/b/ covered", got, refusal)
	}
	// A mount point shows the container what lies below it. /proc is one on every Linux.
	if got, refusal := look(t, usualBounds(), Mount{Source: "/proc/self", Target: "/w", Hide: []string{"none"}}, ""); refusal == nil && slices.Contains(got, "task/") {
		t.Errorf("scan of /proc/self covers task: it is the same mount")
	}
	if got, refusal := look(t, bounds{entries: 200_000, covers: 5000, levels: 1, time: 3 * time.Second}, Mount{Source: "/", Target: "/w", Hide: []string{"none"}}, ""); refusal == nil && (!slices.Contains(got, "proc/") || !slices.Contains(got, "sys/")) {
		t.Errorf("scan of / = %q, want the mount points proc and sys covered", got)
	}
}

// A pipe in a read-only folder would let a command talk to whoever reads it on the host.
func TestScanCoversDoors(t *testing.T) {
	top := tree(t, "plain")
	if err := syscall.Mkfifo(filepath.Join(top, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(top, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got, refusal := look(t, usualBounds(), Mount{Source: top, Target: "/w", Hide: []string{"**/.env"}}, "")
	if diff := cmp.Diff([]string{"pipe", "socket"}, got); diff != "" || refusal != nil {
		t.Errorf("scan (-want +got):\n%s%v", diff, refusal)
	}
}

func TestVeil(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "runner")
	for range 2 { // made once, then found
		v, err := makeVeil(dir)
		if err != nil {
			t.Fatal(err)
		}
		file, err1 := os.Lstat(v.file)
		folder, err2 := os.Lstat(v.dir)
		if err1 != nil || err2 != nil || file.Mode() != 0 || folder.Mode() != os.ModeDir || file.Size() != 0 {
			t.Fatalf("veil = %v %v, %v %v, want both without any right", file, err1, folder, err2)
		}
	}
	if _, err := makeVeil(""); err == nil {
		t.Error("a veil from nowhere")
	}
	for name, change := range map[string]func(string) error{
		"readable file":   func(dir string) error { return os.Chmod(filepath.Join(dir, "file"), 0o444) },
		"readable folder": func(dir string) error { return os.Chmod(filepath.Join(dir, "folder"), 0o555) },
		"file with words": func(dir string) error {
			path := filepath.Join(dir, "file")
			return os.Truncate(path, 1)
		},
		"link instead of the file": func(dir string) error {
			path := filepath.Join(dir, "file")
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("/etc/hostname", path)
		},
	} {
		dir := filepath.Join(t.TempDir(), "runner")
		if _, err := makeVeil(dir); err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := makeVeil(dir); err == nil {
			t.Errorf("%s: makeVeil takes it", name)
		}
	}
	// Two calls at once make one.
	errs := make(chan error)
	both := filepath.Join(t.TempDir(), "runner")
	for range 8 {
		go func() { _, err := makeVeil(both); errs <- err }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Errorf("makeVeil at once = %v", err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			top := b.TempDir()
			for i := range n / 100 {
				dir := filepath.Join(top, fmt.Sprintf("package-%d/dist/esm", i))
				if err := os.MkdirAll(dir, 0o755); err != nil {
					b.Fatal(err)
				}
				for j := range 97 { // and three folders
					if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("some-module.name-%d.development.js", j)), nil, 0o644); err != nil {
						b.Fatal(err)
					}
				}
			}
			for b.Loop() {
				s := scan{bounds: usualBounds(), until: time.Now().Add(time.Hour)}
				if _, refusal := s.mount(b.Context(), Mount{Source: top, Target: "/w", Hide: shipped()}, ""); refusal != nil {
					b.Fatal(*refusal)
				}
				if s.seen != n/100*100 {
					b.Fatalf("seen %d of %d", s.seen, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/name")
		})
	}
}
