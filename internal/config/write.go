package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Write is what [Dirs.Write] is to change. What it does not name stays, byte for byte.
type Write struct {
	// Text are keys of secureclaw.yaml and their values, see [SetText].
	Text []KeyText
	// Share is the folder to share; nil leaves mounts alone.
	Share *Share
	// MakeFolder is a folder to make with all above it; empty for none.
	MakeFolder string
	// Env are variables of .env.
	Env []EnvValue

	// Environ is the environment of this process, which goes before .env: what stands there is not generated.
	Environ []string
	// Check is asked about the new configuration before it takes the place of the old one; nil agrees.
	Check func(file string, cfg *Config) error
	Now   func() time.Time
	// Step is called at each named step, for crash tests; nil does nothing.
	Step func(name string)
}

// KeyText is a key of secureclaw.yaml, like llm.model, and its value.
type KeyText struct{ Key, Value string }

// EnvValue is a variable of .env and its value.
type EnvValue struct {
	Name  string
	Value Secret
}

// Written is what [Dirs.Write] did.
type Written struct {
	Config string // the file, if it changed
	Env    string // the file, if it changed
	Backup string // the file as it was, if it was there and changed
}

// Write changes secureclaw.yaml and .env. Each is replaced in one step by a file that was read and
// checked before, .env first: a configuration that names a provider without its key would be the
// worse of the two halves. After an error everything is as it was; after a crash each file is the
// old one or the new one, whole. The secrets that need no account are generated.
//
// A secureclaw.yaml that was there is kept beside the new one as secureclaw.yaml.bak-<time>.
func (d Dirs) Write(w Write) (out Written, err error) {
	step := w.Step
	if step == nil {
		step = func(string) {}
	}
	var undo []func()
	defer func() {
		if err != nil {
			out = Written{}
			for _, f := range slices.Backward(undo) {
				f()
			}
		}
	}()
	for _, dir := range []string{d.Home, filepath.Dir(d.Config), filepath.Dir(d.Env), w.MakeFolder} {
		made, err := makeFolder(dir, dir == w.MakeFolder)
		undo = append(undo, made)
		if err != nil {
			return out, err
		}
	}
	unlock, err := lockFolder(filepath.Dir(d.Env)) // as LoadSecrets does when it generates
	if err != nil {
		return out, err
	}
	defer unlock()

	env, err := d.draftEnv(w)
	undo = append(undo, env.discard)
	if err != nil {
		return out, err
	}
	yaml, err := d.draftConfig(w)
	undo = append(undo, yaml.discard)
	if err != nil {
		return out, err
	}
	step("write.drafted")
	if yaml.changed && yaml.was != nil {
		kept, err := d.backup(yaml, w.Now())
		if err != nil {
			return out, err
		}
		undo = append(undo, func() { _ = os.Remove(kept) })
		out.Backup = kept
	}
	step("write.kept")
	undo = append(undo, env.revert)
	if err = env.commit(); err != nil {
		return out, err
	}
	step("write.env")
	undo = append(undo, yaml.revert)
	if err = yaml.commit(); err != nil {
		return out, err
	}
	step("write.config")
	if env.changed {
		out.Env = d.Env
	}
	if yaml.changed {
		out.Config = d.Config
	}
	return out, nil
}

// draftEnv writes the new .env beside the old one and reads it back.
func (d Dirs) draftEnv(w Write) (*draft, error) {
	was, err := readPrivate(d.Env)
	if err != nil {
		return &draft{}, err
	}
	now := was
	for _, v := range w.Env {
		if now, err = SetEnv(now, v.Name, v.Value); err != nil {
			return &draft{}, inFile(err, ".env", d.Env)
		}
	}
	f := &draft{path: d.Env, was: was, mode: 0o600}
	if err := f.write(now); err != nil {
		return f, err
	}
	values, places, errs := parseEnv(d.Env, now)
	for _, pair := range w.Environ {
		if name, value, ok := strings.Cut(pair, "="); ok && value != "" && slices.Contains(envNames(), name) {
			values[name], places[name] = value, Place{File: "environment"}
		}
	}
	secrets, more := assemble(values, places, d.Env)
	if errs = append(errs, more...); len(errs) > 0 {
		return f, errs
	}
	if err := generate(f.temporary, now, &secrets, nil); err != nil {
		return f, err
	}
	return f, f.compare()
}

// draftConfig writes the new secureclaw.yaml beside the old one, and loads it as it will be loaded.
func (d Dirs) draftConfig(w Write) (*draft, error) {
	name, now, err := readConfig(d.Config)
	if err != nil {
		return &draft{}, err
	}
	// A file that is a link stays one: who keeps it elsewhere wants it there.
	f := &draft{path: realPath(d.Config), mode: 0o600}
	if name != BuiltIn {
		f.was = now
		info, err := os.Stat(f.path)
		if err != nil {
			return f, err
		}
		f.mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
			f.owner = st
		}
	}
	for _, t := range w.Text {
		if now, err = SetText(now, t.Key, t.Value); err != nil {
			return f, fmt.Errorf("%s: %w", d.Config, err)
		}
	}
	if w.Share != nil {
		if now, err = SetShare(now, *w.Share); err != nil {
			return f, fmt.Errorf("%s: %w", d.Config, err)
		}
	}
	if err := f.write(now); err != nil {
		return f, err
	}
	cfg, _, err := Load(f.temporary, LoadOptions{Dirs: d, Env: func(name string) string { return lookup(w.Environ, name) }})
	if err == nil && w.Check != nil {
		err = w.Check(d.Config, cfg)
	}
	if err != nil {
		return f, inFile(err, f.temporary, d.Config)
	}
	if name == BuiltIn {
		schema, err := Schema() // the file names it, for editors
		if err != nil {
			return f, err
		}
		if err := writeFile(filepath.Join(filepath.Dir(d.Config), "secureclaw.schema.json"), schema, 0o600); err != nil {
			return f, err
		}
	}
	return f, f.compare()
}

// backup keeps the old configuration under a name that says when it was replaced.
func (d Dirs) backup(f *draft, now time.Time) (string, error) {
	base := d.Config + ".bak-" + now.UTC().Format("20060102-150405")
	for n := 1; ; n++ {
		path := base
		if n > 1 {
			path = fmt.Sprintf("%s-%d", base, n)
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, writeFile(path, f.was, f.mode)
		} else if err != nil {
			return "", err
		}
	}
}

// makeFolder makes a folder with all above it, for tools to use or for us alone, and says how to take
// that back. No path is no folder.
func makeFolder(path string, shared bool) (undo func(), err error) {
	var missing, made []string
	undo = func() {
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir) // fails when something is in it by now, and then it should stay
		}
	}
	for dir := path; dir != "" && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return func() {}, err
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return undo, err
		}
		made = append(made, dir)
	}
	if len(made) > 0 && shared && os.Geteuid() == 0 {
		// Tools run as user 1000. Root's own folder would be closed to them.
		return undo, os.Chown(path, ExecutorUID, ExecutorUID)
	}
	return undo, nil
}

// inFile tells problems with the name of the file that they will be in.
func inFile(err error, from, to string) error {
	problems, ok := errors.AsType[Errors](err)
	if !ok {
		return err
	}
	problems = slices.Clone(problems)
	for i := range problems {
		if problems[i].File == from {
			problems[i].File = to
		}
	}
	return problems
}

func lookup(environ []string, name string) string {
	for _, pair := range environ {
		if n, value, ok := strings.Cut(pair, "="); ok && n == name {
			return value
		}
	}
	return ""
}
