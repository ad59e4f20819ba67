package agent

import (
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// noted are turns as a model reads them: notes stand below their message. Only here do the two become
// one text; whoever asks what the user said reads the turns as they are stored.
func noted(turns []claw.Turn) []claw.Turn {
	out := slices.Clone(turns)
	for i := range out {
		if out[i].Notes != "" {
			out[i].Text, out[i].Notes = out[i].Text+"\n\n"+out[i].Notes, ""
		}
	}
	return out
}
