package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// secretGlobs is what a mount hides that does not say so itself: what the shipped rule for secrets
// asks about. A test keeps the two and the shipped file equal.
func secretGlobs() []string {
	return []string{
		"**/{.env*,*.env}",
		"**/{.env*,*.env}/**",
		"**/{.ssh,.gnupg,.aws,.azure,.kube,.docker,.password-store,gcloud}{,/**}",
		"**/{id_*,*_rsa,*_dsa,*_ecdsa,*_ed25519,authorized_keys}",
		"**/*.{pem,key,p8,p12,pfx,jks,keystore,kdbx,ppk,asc,gpg,age}",
		"**/*{token,secret,credential,password,passwd,apikey,api_key}*",
		"**/*{token,secret,credential,password,passwd,apikey,api_key}*/**",
		"**/{.netrc,_netrc,.pgpass,.my.cnf,.npmrc,.pypirc,.git-credentials,.htpasswd,.vault*,kubeconfig*,*.tfstate*,*.tfvars}",
	}
}

// Hidden is what the mount hides. A mount that nobody decided about hides what looks like a secret.
func (m Mount) Hidden() []string {
	if m.Hide == nil {
		return secretGlobs()
	}
	return m.Hide
}

// finishHide refuses globs that could never match: one with a typing error would show what it was
// written to hide.
func (s *source) finishHide(m *Mount, at string) {
	for i, pattern := range m.Hide {
		key := fmt.Sprintf("%s.hide[%d]", at, i)
		if slices.ContainsFunc(s.errors, func(p Problem) bool { return p.Key == key }) {
			continue // no text, which is said already
		}
		if why := checkHide(pattern); why != "" {
			s.fail(s.place(key), key, "%s: %s", key, why)
			continue
		}
		// The policy judges whole paths, so a folder at such a place asks for each of its files. The
		// folder itself cannot be hidden from the commands that have it, so the two must not differ.
		if strings.HasPrefix(pattern, "**/") && hides(pattern, strings.TrimPrefix(m.Container, "/")) {
			s.fail(s.place(at+".container"), at+".container", "%s.container: %s is itself what this mount hides (%s); choose another place, or write hide: [] to show all that is in it",
				at, clip(m.Container), pattern)
			return
		}
	}
}

func hides(pattern, path string) bool {
	return doublestar.MatchUnvalidated(pattern, path) || doublestar.MatchUnvalidated(strings.ToLower(pattern), strings.ToLower(path))
}

// checkHide says why pattern can match nothing in a folder, or "".
func checkHide(pattern string) string {
	switch {
	case pattern == "":
		return "an empty pattern hides nothing; remove it, or write hide: [] to hide nothing"
	case strings.ContainsRune(pattern, 0):
		return "a pattern must not hold a NUL character"
	case !doublestar.ValidatePattern(pattern):
		return fmt.Sprintf("%q is not a glob: a bracket or brace is not closed", clip(pattern))
	case strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "~"):
		return fmt.Sprintf("%q never matches: patterns are relative to the folder; write name or **/name", clip(pattern))
	case strings.HasPrefix(pattern, "!"):
		return fmt.Sprintf("%q hides names that begin with !; there are no exceptions here, write what to hide", clip(pattern))
	case strings.HasSuffix(pattern, "/"):
		return fmt.Sprintf("%q never matches: write %s, which hides the folder and all that is in it", clip(pattern), clip(strings.TrimRight(pattern, "/")))
	case strings.Contains(pattern, "//"):
		return fmt.Sprintf("%q never matches: a path has no double slash", clip(pattern))
	case slices.ContainsFunc(strings.Split(pattern, "/"), func(part string) bool { return part == "." || part == ".." }):
		return fmt.Sprintf("%q never matches: a path has no . or .. in it", clip(pattern))
	}
	return ""
}
