package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// window is the newest part of a conversation that fits into some many tokens, cut before a message of the
// user, so that no tool result is separated from its call. It is for turns that have no summary; the
// history itself stays whole.
func window(turns []claw.Turn, most int) []claw.Turn {
	size, start := 0, len(turns)
	for i := len(turns) - 1; i >= 0; i-- {
		size += weigh(turns[i])
		if size > most && start < len(turns) {
			break
		}
		if isMessage(turns[i]) {
			start = i
		}
	}
	return shortened(turns[start:], most)
}

// leastShown is how many bytes of a tool's output, or of a message, stay when one message has more than fits.
const leastShown = 2 << 10

// shortened is for one message with more than fits: the longest outputs lose their middle, and then what
// was said, or the provider would refuse the question and the message had no answer at all.
func shortened(turns []claw.Turn, most int) []claw.Turn {
	turns = slices.Clone(turns)
	for bytes := 64 << 10; weighAll(turns) > most && bytes >= leastShown; bytes /= 2 {
		for i := range turns {
			turns[i].Results = slices.Clone(turns[i].Results)
			for j := range turns[i].Results {
				turns[i].Results[j].Content = middleOut(turns[i].Results[j].Content, bytes, outputCut)
			}
		}
	}
	for bytes := 256 << 10; weighAll(turns) > most && bytes >= leastShown; bytes /= 2 {
		for i := range turns {
			turns[i].Text = middleOut(turns[i].Text, bytes, textCut)
		}
	}
	return turns
}

// What stands in the place of a middle.
const (
	outputCut = "of this output are left out; ask for less at once"
	textCut   = "are left out here"
)

// middleOut keeps head and tail of a text, some most bytes in all, and says what is missing.
func middleOut(text string, most int, what string) string {
	if len(text) <= most+100 {
		return text
	}
	head, tail := strings.ToValidUTF8(text[:most/2], ""), strings.ToValidUTF8(text[len(text)-most/2:], "")
	return fmt.Sprintf("%s\n[… %d bytes %s …]\n%s", head, len(text)-len(head)-len(tail), what, tail)
}

// answered returns turns in which every call has its result, in order, right behind it. Calls that never got
// one (we were killed, and could not learn how they ended) are answered as unknown, because
// every model API demands a result for each call.
func answered(turns []claw.Turn) []claw.Turn {
	out := make([]claw.Turn, 0, len(turns)+1)
	for i, t := range turns {
		if len(t.Results) > 0 {
			continue // taken along with its calls below
		}
		out = append(out, t)
		if len(t.Calls) == 0 {
			continue
		}
		known := map[claw.CallID]claw.ToolResult{}
		if i+1 < len(turns) {
			for _, r := range turns[i+1].Results {
				known[r.Call] = r
			}
		}
		results := make([]claw.ToolResult, len(t.Calls))
		for j, c := range t.Calls {
			r, ok := known[c.ID]
			if !ok {
				r = claw.ToolResult{Call: c.ID, Tool: c.Tool, Status: claw.Unknown,
					Content: "SecureClaw was restarted while this call was open; how it ended is unknown. It is not repeated."}
			}
			r.ModelID = c.ModelID
			results[j] = r
		}
		out = append(out, claw.Turn{Role: claw.User, Results: results})
	}
	return out
}
