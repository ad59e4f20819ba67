package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// maxTurns is how many stored turns are looked at for one question.
const maxTurns = 400

// maxWindowBytes is about how much of a conversation a question carries (some 150,000 tokens of English).
const maxWindowBytes = 600 << 10

// window is the newest part of a conversation that fits, cut before a message of the user, so
// that no tool result is separated from its call. The history itself stays whole. Calls that never got a
// result (we were killed, and could not learn how they ended) are answered as unknown, because
// every model API demands a result for each call.
func window(turns []claw.Turn) []claw.Turn {
	turns = answered(turns)
	size, start := 0, len(turns)
	for i := len(turns) - 1; i >= 0; i-- {
		size += weigh(turns[i])
		if size > maxWindowBytes && start < len(turns) {
			break
		}
		if turns[i].Role == claw.User && len(turns[i].Results) == 0 {
			start = i
		}
	}
	if start == len(turns) {
		for i := len(turns) - 1; i >= 0; i-- {
			if turns[i].Role == claw.User && len(turns[i].Results) == 0 {
				return shortened(turns[i:])
			}
		}
		return nil
	}
	return shortened(turns[start:])
}

// leastShown is how much of a tool's output stays when one message has more than fits.
const leastShown = 2 << 10

// shortened is for one message with more tool output than fits: the longest outputs lose their
// middle, or the provider would refuse the question and the message had no answer at all.
func shortened(turns []claw.Turn) []claw.Turn {
	size := 0
	for _, t := range turns {
		size += weigh(t)
	}
	for most := 64 << 10; size > maxWindowBytes && most >= leastShown; most /= 2 {
		size = 0
		turns = slices.Clone(turns)
		for i := range turns {
			turns[i].Results = slices.Clone(turns[i].Results)
			for j := range turns[i].Results {
				turns[i].Results[j].Content = middleOut(turns[i].Results[j].Content, most)
			}
			size += weigh(turns[i])
		}
	}
	return turns
}

// middleOut keeps head and tail of a text, some most bytes in all, and says what is missing.
func middleOut(text string, most int) string {
	if len(text) <= most+100 {
		return text
	}
	head, tail := strings.ToValidUTF8(text[:most/2], ""), strings.ToValidUTF8(text[len(text)-most/2:], "")
	return fmt.Sprintf("%s\n[… %d bytes of this output are left out; ask for less at once …]\n%s", head, len(text)-len(head)-len(tail), tail)
}

func weigh(t claw.Turn) int {
	n := len(t.Text)
	for _, c := range t.Calls {
		n += len(c.Input)
	}
	for _, r := range t.Results {
		n += len(r.Content)
	}
	return n
}

// answered returns turns in which every call has its result, in order, right behind it.
func answered(turns []claw.Turn) []claw.Turn {
	var out []claw.Turn
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
