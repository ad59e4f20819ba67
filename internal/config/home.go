package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	defaults "github.com/secureclaw/secureclaw/config"
)

// Dirs says where this installation keeps what. All paths are absolute.
type Dirs struct {
	Home    string // relative host paths of mounts start here
	Config  string // the file secureclaw.yaml
	Env     string // the file .env
	State   string // databases and the audit log
	Runtime string // sockets
}

// maxRuntime leaves room in the 107 bytes of a socket's path for "/" and a name of 26.
const maxRuntime = 80

// Home decides where everything is. flag (--home DIR), or else SECURECLAW_HOME, puts all of it into
// one folder: config/secureclaw.yaml, .env, state, run, workspace, inbox. Without it the XDG folders are
// used. env reads the environment. Nothing is created: see [Dirs.Prepare].
func Home(flag string, env func(string) string) (Dirs, error) {
	if flag == "" {
		flag = env("SECURECLAW_HOME")
	}
	if flag != "" {
		home, err := filepath.Abs(flag)
		if err != nil {
			return Dirs{}, err
		}
		return Dirs{
			Home:    home,
			Config:  filepath.Join(home, "config", "secureclaw.yaml"),
			Env:     filepath.Join(home, ".env"),
			State:   filepath.Join(home, "state"),
			Runtime: shortRuntime(filepath.Join(home, "run"), home, env),
		}, nil
	}
	user := env("HOME")
	xdg := func(name, fallback string) (string, error) {
		// A relative path in these variables is invalid, says the XDG specification, and is ignored.
		if dir := env(name); filepath.IsAbs(dir) {
			return filepath.Join(dir, "secureclaw"), nil
		}
		if !filepath.IsAbs(user) {
			return "", fmt.Errorf("no home: neither --home, %s nor HOME says where files belong; use --home DIR", name)
		}
		return filepath.Join(user, fallback, "secureclaw"), nil
	}
	config, err1 := xdg("XDG_CONFIG_HOME", ".config")
	state, err2 := xdg("XDG_STATE_HOME", ".local/state")
	home, err3 := xdg("XDG_DATA_HOME", ".local/share")
	if err := errors.Join(err1, err2, err3); err != nil {
		return Dirs{}, err1
	}
	runtime := filepath.Join(state, "run")
	if dir := env("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		runtime = filepath.Join(dir, "secureclaw")
	}
	return Dirs{
		Home:    home,
		Config:  filepath.Join(config, "secureclaw.yaml"),
		Env:     filepath.Join(config, ".env"),
		State:   state,
		Runtime: shortRuntime(runtime, home, env),
	}, nil
}

// shortRuntime replaces a folder whose sockets would not fit into a socket address by a short one,
// always the same for the same home.
func shortRuntime(dir, home string, env func(string) string) string {
	if len(dir) <= maxRuntime {
		return dir
	}
	sum := sha256.Sum256([]byte(home))
	name := "secureclaw-" + hex.EncodeToString(sum[:6])
	if base := env("XDG_RUNTIME_DIR"); filepath.IsAbs(base) && len(base)+1+len(name) <= maxRuntime {
		return filepath.Join(base, name)
	}
	return filepath.Join("/tmp", name+"-"+strconv.Itoa(os.Geteuid()))
}

// Prepare creates what a first run needs: the private folders (0700), secureclaw.yaml from the
// built-in one, the workspace and the inbox. What exists stays as it is; a private folder that others can
// open, or that is not ours, is an error with the command that mends it.
func (d Dirs) Prepare() error {
	for _, dir := range []string{d.Home, filepath.Dir(d.Config), filepath.Dir(d.Env)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{d.State, d.Runtime} {
		if err := privateFolder(dir); err != nil {
			return err
		}
	}
	workspace := filepath.Join(d.Home, "workspace")
	if err := os.Mkdir(workspace, 0o700); err == nil && os.Geteuid() == 0 {
		// Tools run as user 1000. Root's own folder would be closed to them.
		if err := os.Chown(workspace, ExecutorUID, ExecutorUID); err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Only we write into the inbox; tools, who are user 1000, read it.
	inbox := filepath.Join(d.Home, "inbox")
	if err := os.Mkdir(inbox, 0o755); err == nil {
		if err := os.Chmod(inbox, 0o755); err != nil { // whatever the umask took
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(d.Config); errors.Is(err, fs.ErrNotExist) {
		// The file names its schema for editors, so that lies beside it.
		schema, err := Schema()
		if err != nil {
			return err
		}
		return errors.Join(writeFile(filepath.Join(filepath.Dir(d.Config), "secureclaw.schema.json"), schema, 0o600), writeFile(d.Config, defaults.YAML, 0o600))
	} else if err != nil {
		return err
	}
	return nil
}

// privateFolder makes dir, or checks that the one that is there is ours alone. The folder may lie in
// /tmp, where anybody could have made it first.
func privateFolder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder; move it away", dir)
	case ok && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, not to you; it cannot be trusted: remove it", dir, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("other users can open %s (mode %04o); fix: chmod 700 %s", dir, info.Mode().Perm(), shellQuote(dir))
	}
	return nil
}
