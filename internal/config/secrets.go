package config

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// minMaterial is the least number of secret bytes in a key of ours.
const minMaterial = 32

// SecretOptions says what [LoadSecrets] may do.
type SecretOptions struct {
	// Generate makes the secrets that need no account, once, and adds them to the file.
	Generate bool
	// Random is where generated secrets come from; nil is crypto/rand.
	Random io.Reader
}

// LoadSecrets reads the .env file at path and lets environ ("NAME=value") go before it. A missing
// file is an empty one. The file must belong to this user and be closed to all others, since whoever
// reads it can mint any capability. A non-nil error holds everything that is wrong and no value.
func LoadSecrets(path string, environ []string, opts SecretOptions) (Secrets, error) {
	if opts.Generate {
		// Two first runs at once must not each make keys: the loser's would be void.
		unlock, err := lockFolder(filepath.Dir(path))
		if err != nil {
			return Secrets{}, err
		}
		defer unlock()
	}
	data, err := readPrivate(path)
	if err != nil {
		return Secrets{}, err
	}
	values, places, errs := parseEnv(path, data)
	for _, old := range []bool{true, false} { // the name of today goes before the old one
		for _, pair := range environ {
			written, value, ok := strings.Cut(pair, "=")
			if name := envName(written); ok && (name != written) == old && slices.Contains(envNames(), name) && value != "" {
				values[name], places[name] = value, Place{File: "environment"}
			}
		}
	}
	secrets, more := assemble(values, places, path)
	if errs = append(errs, more...); len(errs) > 0 {
		sortProblems(errs, func(p Problem) Problem { return p })
		return Secrets{}, errs
	}
	if opts.Generate {
		if err := generate(path, data, &secrets, opts.Random); err != nil {
			return Secrets{}, err
		}
	}
	return secrets, nil
}

func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

func assemble(values map[string]string, places map[string]Place, path string) (Secrets, Errors) {
	var s Secrets
	var errs Errors
	fail := func(name, format string, args ...any) {
		at := places[name]
		errs = append(errs, Problem{File: cmp.Or(at.File, path), Line: at.Line, Column: at.Column, Key: name, Message: name + ": " + fmt.Sprintf(format, args...)})
	}
	for _, v := range envVars() {
		value := values[v.name]
		if v.get == nil {
			if why := v.set(&s, value); why != "" {
				fail(v.name, "%s", why)
			}
			continue
		}
		if strings.ContainsAny(value, " \t\r\n\x00") {
			fail(v.name, "a key holds no space and no line break; was more copied than the key?")
			continue
		}
		*v.get(&s) = Secret(value)
	}
	for _, own := range []struct {
		name  string
		value Secret
	}{{envCapabilitySecret, s.CapabilitySecret}, {envOAuthKey, s.OAuthKey}} {
		if own.value != "" && (own.value.material() < minMaterial || own.value.distinct() < 10) {
			fail(own.name, "too weak: want at least %d random bytes, as base64; delete the line and a good one is generated, or run: openssl rand -base64 32", minMaterial)
		}
	}
	if s.CapabilitySecret != "" && s.CapabilitySecret == s.OAuthKey {
		fail(envOAuthKey, "is the same as %s; each key must be its own", envCapabilitySecret)
	}
	return s, errs
}

// readPrivate reads a file that only this user may open. It refuses links: a link could lead to a
// file whose mode somebody else decides.
func readPrivate(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, Errors{{File: path, Message: "is a link; secrets must stand in a file of their own"}}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, Errors{{File: path, Message: "is not a regular file"}}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, Errors{{File: path, Message: fmt.Sprintf("other users can open it (mode %04o); fix: chmod 600 %s", mode, shellQuote(path))}}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return nil, Errors{{File: path, Message: fmt.Sprintf("belongs to user %d, not to you; fix: sudo chown %d %s", st.Uid, os.Geteuid(), shellQuote(path))}}
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// generate fills the keys of ours that are absent and adds them to the file behind the user's own lines.
func generate(path string, data []byte, s *Secrets, random io.Reader) error {
	if random == nil {
		random = rand.Reader
	}
	var added strings.Builder
	for _, own := range []struct {
		name, meaning string
		value         *Secret
	}{
		{envCapabilitySecret, "signs what each tool call may touch; a new one makes waiting calls void", &s.CapabilitySecret},
		{envOAuthKey, "seals the tokens of connected services; without it they must be connected again", &s.OAuthKey},
	} {
		if *own.value != "" {
			continue
		}
		key := make([]byte, minMaterial)
		if _, err := io.ReadFull(random, key); err != nil {
			return fmt.Errorf("generate %s: %w", own.name, err)
		}
		*own.value = Secret(base64.StdEncoding.EncodeToString(key))
		data = dropEmpty(data, own.name)
		fmt.Fprintf(&added, "# generated: %s\n%s=%s\n", own.meaning, own.name, own.value.Reveal())
	}
	if added.Len() == 0 {
		return nil
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(slices.Clip(data), '\n')
	}
	return writeFile(path, append(slices.Clip(data), added.String()...), 0o600)
}

// dropEmpty takes the line "NAME=" out, which would stand beside the generated one.
func dropEmpty(data []byte, name string) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		key, _, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export ")), "=")
		return ok && key == name
	})
	return []byte(strings.Join(lines, ""))
}

// writeFile replaces path in one step: a crash leaves the old file or the new one.
func writeFile(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // created 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Partition is the environment of each process: its own secrets and nobody else's.
type Partition struct {
	Gateway []string
	Runner  []string
	Bridge  []string
}

// Partition deals the secrets out. publicKey is the verifying half of the capability key, in the
// form that the runner reads; the runner gets no secret at all.
func (s Secrets) Partition(publicKey string) Partition {
	pair := func(name string, value Secret) string { return name + "=" + value.Reveal() }
	users := ""
	if s.TelegramBotToken != "" {
		// No secret: the gateway judges by its own copy who may talk and decide, whatever a bridge says.
		users = envAllowedUsers + "=" + s.userIDs()
	}
	return Partition{
		Gateway: set(pair(envAnthropicKey, s.AnthropicAPIKey), pair(envOpenAIKey, s.OpenAIAPIKey), pair(envCapabilitySecret, s.CapabilitySecret), pair(envOAuthKey, s.OAuthKey), users),
		Runner:  set(capabilityPublicKey + "=" + publicKey),
		Bridge:  set(pair(envTelegramToken, s.TelegramBotToken), envAllowedUsers+"="+s.userIDs(), envTelegramAPI+"="+s.TelegramAPIURL),
	}
}

func (s Secrets) userIDs() string {
	ids := make([]string, len(s.AllowedUserIDs))
	for i, id := range s.AllowedUserIDs {
		ids[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(ids, ",")
}

// set leaves out variables without a value.
func set(pairs ...string) []string {
	return slices.DeleteFunc(pairs, func(pair string) bool {
		_, value, _ := strings.Cut(pair, "=")
		return value == ""
	})
}

// String names the variables and hides their values.
func (p Partition) String() string {
	names := func(pairs []string) string {
		var out []string
		for _, pair := range pairs {
			name, _, _ := strings.Cut(pair, "=")
			out = append(out, name)
		}
		return strings.Join(out, " ")
	}
	return fmt.Sprintf("gateway: %s; runner: %s; bridge: %s", names(p.Gateway), names(p.Runner), names(p.Bridge))
}

// GoString hides the values from %#v.
func (p Partition) GoString() string { return p.String() }

// Format hides the values from every verb.
func (p Partition) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// MarshalJSON hides the values.
func (p Partition) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, p.String()), nil }

// MarshalYAML hides the values.
func (p Partition) MarshalYAML() (any, error) { return p.String(), nil }

func shellQuote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
