package sandbox

import _ "embed"

// The system call filters, as text: the engine's API wants the JSON itself, not a path.
// seccomp/README.md says what they allow and where they come from.
var (
	//go:embed seccomp/sealed.json
	sealedProfile string
	//go:embed seccomp/browser.json
	browserProfile string
)

// profile returns the filter for a kind of executor. A kind that nobody decided about gets the
// strict one.
func profile(kind string) string {
	if kind == "web" {
		return browserProfile
	}
	return sealedProfile
}
