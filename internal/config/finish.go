package config

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/cron"
)

// finish checks what no single value shows, resolves host paths and gives rules their place.
func (s *source) finish(cfg *Config, home string) {
	s.finishLLM(&cfg.LLM)
	s.finishMounts(cfg.Mounts, home)
	s.finishExecutors(cfg)
	s.finishTiers(&cfg.ActionTiers)
	s.finishSites(cfg)
	names := map[string]int{}
	for i, h := range cfg.Heartbeats {
		at := fmt.Sprintf("heartbeats[%d]", i)
		s.unique(names, h.Name, at+".name", "heartbeat", i)
		if h.Schedule != "" {
			if _, err := cron.Parse(h.Schedule, "UTC"); err != nil {
				s.fail(s.place(at+".schedule"), at+".schedule", "%s.schedule: %v", at, err)
			}
		}
		if _, err := cron.Zone(h.Timezone); err != nil {
			s.fail(s.place(at+".timezone"), at+".timezone", "%s.timezone: %v", at, err)
		}
	}
	for name, client := range cfg.OAuth {
		seen := map[string]int{}
		for i, scope := range client.Scopes {
			s.unique(seen, scope, fmt.Sprintf("oauth.%s.scopes[%d]", name, i), "scope", i)
		}
	}
	if host, ok := strings.CutPrefix(cfg.Docker.Host, "unix://"); ok && path.Clean(host) != host {
		s.fail(s.place("docker.host"), "docker.host", "docker.host: %q is not a clean path; write unix://%s", cfg.Docker.Host, path.Clean(host))
	}
}

// unique reports a name that an earlier item of its list has.
func (s *source) unique(seen map[string]int, name, at, what string, i int) {
	if name == "" {
		return
	}
	if first, twice := seen[name]; twice {
		s.fail(s.place(at), at, "%s: %s %q stands twice in the list, first as item %d", at, what, clip(name), first)
		return
	}
	seen[name] = i
}

func (s *source) finishLLM(llm *LLM) {
	if at, given := s.places["llm.model"]; llm.Provider == "openai" && !given {
		s.fail(s.place("llm.provider"), "llm.model", "llm.model is missing: provider openai has no default model; name one that the server at llm.baseURL has")
	} else if m, ok := retired(llm.Model); ok && (llm.Provider == "" || llm.Provider == "anthropic") {
		s.warn(at, "llm.model", "llm.model: %s %s; use %s", llm.Model, m.fate, m.replacement)
	}
	if llm.BaseURL == "" {
		return
	}
	at := s.place("llm.baseURL")
	why, warning := checkBaseURL(llm.BaseURL)
	if why != "" {
		s.fail(at, "llm.baseURL", "llm.baseURL: %s", why)
	} else if warning != "" {
		s.warn(at, "llm.baseURL", "llm.baseURL: %s", warning)
	}
}

func checkBaseURL(text string) (why, warning string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Opaque != "":
		return "want a URL like https://host/path", ""
	case u.User != nil:
		return "a URL must hold no password; keys belong into .env", ""
	case u.RawQuery != "" || u.Fragment != "":
		return "want a URL without ? and #", ""
	case u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return "", "http sends your key and every message unencrypted; use https"
	}
	return "", ""
}

func (s *source) finishExecutors(cfg *Config) {
	broken := slices.ContainsFunc(s.errors, func(p Problem) bool { return p.Key == "mounts" }) // no list to look names up in
	for _, name := range []string{"shell", "file", "web"} {
		e, ok := cfg.Executors[name]
		if !ok {
			continue
		}
		at := "executors." + name
		if name == "web" && len(e.Mounts) > 0 {
			s.fail(s.place(at+".mounts"), at+".mounts", "%s.mounts: the web executor sees no folder; what reads the Internet must not hold your files", at)
		}
		if given := func(m Mount) bool { return m.Name == InboxMount }; !broken && s.place(at+".mounts").File == BuiltIn && !slices.ContainsFunc(cfg.Mounts, given) {
			// The built-in list names the inbox; a file with mounts of its own need not have one.
			e.Mounts = slices.DeleteFunc(e.Mounts, func(name string) bool { return name == InboxMount })
			cfg.Executors[name] = e
		}
		seen := map[string]int{}
		for i, mount := range e.Mounts {
			key := fmt.Sprintf("%s.mounts[%d]", at, i)
			s.unique(seen, mount, key, "mount", i)
			if mount == "" || broken || slices.ContainsFunc(cfg.Mounts, func(m Mount) bool { return m.Name == mount }) {
				continue
			}
			if where := s.place(key); where.File != BuiltIn || s.name == BuiltIn {
				s.fail(where, key, "%s: no mount is called %q%s", key, clip(mount), didYouMean(mount, mountNames(cfg.Mounts)))
			} else {
				s.fail(s.place("mounts"), key, "%s uses the mount %q unless this file says otherwise, and mounts has none of that name; add it, or write an executors section", at, mount)
			}
		}
		if e.Tmp > e.Memory && e.Memory > 0 {
			s.warn(s.place(at+".tmp"), at+".tmp", "%s.tmp: %v is more than memory (%v), and /tmp counts as memory", at, e.Tmp, e.Memory)
		}
	}
}

func mountNames(mounts []Mount) []string {
	names := make([]string, len(mounts))
	for i, m := range mounts {
		names[i] = m.Name
	}
	return names
}

func (s *source) finishMounts(mounts []Mount, home string) {
	names := map[string]int{}
	for i := range mounts {
		m, at := &mounts[i], fmt.Sprintf("mounts[%d]", i)
		s.unique(names, m.Name, at+".name", "mount", i)
		if m.Host != "" {
			host, why := resolveHost(m.Host, home, s.userHome)
			if why != "" {
				s.fail(s.place(at+".host"), at+".host", "%s.host: %s", at, why)
			}
			m.Host = host
		}
		if m.Name == InboxMount && m.Mode != "ro" {
			s.fail(s.place(at+".mode"), at+".mode", "%s.mode: the mount %s must be ro; only SecureClaw writes there", at, InboxMount)
		}
		s.finishHide(m, at)
		if m.Container == "" {
			continue
		}
		if why := checkContainerPath(m.Container); why != "" {
			s.fail(s.place(at+".container"), at+".container", "%s.container: %s", at, why)
			continue
		}
		for j, other := range mounts[:i] {
			if within(m.Container, other.Container) || within(other.Container, m.Container) {
				s.fail(s.place(at+".container"), at+".container", "%s.container: %s overlaps %s of mounts[%d]; a path must belong to one mount", at, m.Container, other.Container, j)
			}
		}
	}
}

// resolveHost makes a folder of the configuration absolute.
func resolveHost(host, home, user string) (abs, why string) {
	switch {
	case strings.ContainsAny(host, "\x00\n"):
		return "", "a path must not hold NUL or a line break"
	case host == "~" || strings.HasPrefix(host, "~/"):
		if user == "" {
			return "", "~ needs a home folder, and the environment names none; write the whole path"
		}
		host = filepath.Join(user, host[1:])
	case strings.HasPrefix(host, "~"):
		return "", fmt.Sprintf("%q: only your own home folder can be written as ~/…", clip(host))
	case !filepath.IsAbs(host):
		host = filepath.Join(home, host)
	}
	host = filepath.Clean(host)
	if !filepath.IsAbs(host) {
		return "", fmt.Sprintf("%q is relative, and no home folder is known", clip(host))
	}
	for _, system := range []string{"/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/boot"} {
		if within(host, system) || host == "/" {
			return "", fmt.Sprintf("%s belongs to the system and must not be shared with an agent; choose a folder of your own", host)
		}
	}
	return host, ""
}

func checkContainerPath(p string) string {
	switch {
	case strings.ContainsAny(p, "\x00\n"):
		return "a path must not hold NUL or a line break"
	case !path.IsAbs(p):
		return fmt.Sprintf("%q is not absolute; write /%s", clip(p), clip(strings.TrimPrefix(p, "./")))
	case path.Clean(p) != p:
		return fmt.Sprintf("%q is not clean; write %s", clip(p), clip(path.Clean(p)))
	case p == "/":
		return "the whole file system of the container cannot be a mount"
	case strings.ContainsAny(p, `*?[]{}\:`):
		return fmt.Sprintf(`%q holds one of * ? [ ] { } \ : which mean something in rules and in mounts`, clip(p))
	}
	for _, system := range []string{"/bin", "/boot", "/dev", "/etc", "/executor", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var"} {
		if within(p, system) {
			return fmt.Sprintf("%s is part of the container's own system", p)
		}
	}
	return ""
}

// within reports whether p is dir or lies below it. Both are clean and absolute.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
