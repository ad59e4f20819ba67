package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	defaults "github.com/secureclaw/secureclaw/config"
)

// LoadOptions says what surrounds the file.
type LoadOptions struct {
	// Dirs are the folders of this home; relative host paths start from Dirs.Home, and no mount may
	// show an agent the configuration, the secrets, the state or the sockets.
	Dirs Dirs
	// Env reads the environment (os.Getenv); nil is an empty one.
	Env func(string) string
}

// Load reads the configuration at path, or the built-in one when there is no such file, and checks
// it against this computer. A non-nil error about its content is of type [Errors].
func Load(path string, opts LoadOptions) (*Config, []Warning, error) {
	env := opts.Env
	if env == nil {
		env = func(string) string { return "" }
	}
	name, data, err := readConfig(path)
	if err != nil {
		return nil, nil, err
	}
	cfg, warnings, err := parse(newSource(name, data), data, opts.Dirs.Home, env("HOME"))
	if err != nil {
		return nil, warnings, err
	}
	s := newSource(name, data)
	s.places = cfg.origin.places
	s.overrideBaseURL(cfg, env)
	for i, m := range cfg.Mounts {
		s.checkOnDisk(m, fmt.Sprintf("mounts[%d].host", i), opts.Dirs)
		s.checkApart(cfg.Mounts[:i], m, fmt.Sprintf("mounts[%d].host", i))
	}
	if err := s.sorted(); err != nil {
		return nil, warnings, err
	}
	warnings = append(warnings, s.warnings...)
	sortProblems(warnings, func(w Warning) Problem { return w.Problem })
	return cfg, warnings, nil
}

func readConfig(path string) (name string, data []byte, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return BuiltIn, defaults.YAML, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", nil, err
	} else if !info.Mode().IsRegular() {
		return "", nil, Errors{{File: path, Message: "is not a regular file"}}
	} else if info.Mode().Perm()&0o022 != 0 {
		// Who can write this file can loosen every rule in it.
		return "", nil, Errors{{File: path, Message: fmt.Sprintf("other users can change it (mode %04o); fix: chmod go-w %s", info.Mode().Perm(), shellQuote(path))}}
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	return path, data, err
}

// overrideBaseURL lets the environment variables that the vendors' own tools use go first.
func (s *source) overrideBaseURL(cfg *Config, env func(string) string) {
	name := "ANTHROPIC_BASE_URL"
	switch cfg.LLM.Provider {
	case OpenAI:
		name = "OPENAI_BASE_URL"
	case Rehearsal:
		return
	}
	value := env(name)
	if value == "" {
		return
	}
	at := Place{File: "environment " + name}
	why, warning := checkBaseURL(value)
	if why != "" {
		s.fail(at, "llm.baseURL", "%s", why)
	} else if warning != "" {
		s.warn(at, "llm.baseURL", "%s", warning)
	}
	cfg.LLM.BaseURL = value
	s.places["llm.baseURL"] = at
}

// checkApart refuses a folder inside of one that tools may write: they could put a link in its place,
// and the next call would get whatever folder of this computer it leads to.
func (s *source) checkApart(others []Mount, m Mount, key string) {
	for i, other := range others {
		if (m.Mode == "rw" || other.Mode == "rw") && meet(m.Host, other.Host) {
			s.fail(s.place(key), key, "%s: %s and mounts[%d].host lie in one another, and one is writable: a tool could put a link in place of the other. "+
				"fix: share folders that lie apart", key, m.Host, i)
		}
	}
}

// meet reports whether one folder is the other or lies in it, as written or where links lead.
func meet(a, b string) bool {
	for _, a := range []string{a, realPath(a)} {
		for _, b := range []string{b, realPath(b)} {
			if within(a, b) || within(b, a) {
				return true
			}
		}
	}
	return false
}

// checkOnDisk compares a mount with this computer: links are followed, for Docker follows them too.
func (s *source) checkOnDisk(m Mount, key string, dirs Dirs) {
	at := s.place(key)
	real := realPath(m.Host)
	if real != m.Host {
		if _, why := resolveHost(real, "/", ""); why != "" {
			s.fail(at, key, "%s: %s leads to %s: %s", key, m.Host, real, why)
			return
		}
	}
	for _, private := range []struct{ what, path string }{
		{"the configuration", dirs.Config}, {"the secrets", dirs.Env}, {"the state", dirs.State}, {"the sockets", dirs.Runtime},
	} {
		if private.path == "" {
			continue
		}
		own := realPath(private.path)
		if within(own, real) || within(real, own) {
			s.fail(at, key, "%s: %s would show the agent %s of SecureClaw (%s); mount a folder that does not hold it", key, m.Host, private.what, private.path)
			return
		}
	}
	info, err := os.Stat(m.Host)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.warn(at, key, "%s: %s does not exist; calls that need it will be refused. fix: mkdir -p %s", key, m.Host, shellQuote(m.Host))
	case err != nil:
		s.warn(at, key, "%s: %v", key, err)
	case !info.IsDir():
		s.fail(at, key, "%s: %s is not a folder", key, m.Host)
	case m.Mode == "rw" && !writable(m.Host, info):
		s.warn(at, key, "%s: tools run as user 1000, who cannot write into %s. fix: sudo setfacl -m u:%d:rwx,d:u:%d:rwx %s", key, m.Host, ExecutorUID, ExecutorUID, shellQuote(m.Host))
	}
}

// ExecutorUID is the user and group that tools run as inside their container.
const ExecutorUID = 1000

// writable guesses whether user 1000 may write into the folder; an access list is taken for a yes.
func writable(path string, info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case st.Uid == ExecutorUID:
		return mode&0o200 != 0
	case st.Gid == ExecutorUID && mode&0o020 != 0, mode&0o002 != 0:
		return true
	}
	n, err := syscall.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// realPath follows the links of the part of path that exists.
func realPath(path string) string {
	rest := ""
	for p := path; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == filepath.Dir(p) || !strings.HasPrefix(p, "/") {
			return path
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}
