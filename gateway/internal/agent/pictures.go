package agent

import (
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

const (
	// maxPictured is how many results of a question come with their pictures: the newest ones. A model
	// compares a page with the one before; what it saw earlier it has put into words.
	maxPictured = 2
	// maxPictureBytes is the most bytes of all pictures of a question.
	maxPictureBytes = 2 << 20
)

// What stands where a picture was.
const (
	pictureGone    = "[a screenshot was here]"
	pictureRefused = "[a screenshot was here; the model's server did not take it]"
)

// pictured leaves the pictures of the newest results, at most so many, and puts a note in the place of
// all others. It reports whether any are left.
func pictured(turns []claw.Turn, most int, note string) ([]claw.Turn, bool) {
	if !slices.ContainsFunc(turns, func(t claw.Turn) bool {
		return slices.ContainsFunc(t.Results, func(r claw.ToolResult) bool { return len(r.Images) > 0 })
	}) {
		return turns, false
	}
	turns = slices.Clone(turns)
	with, size := 0, 0
	for i := range slices.Backward(turns) {
		turns[i].Results = slices.Clone(turns[i].Results)
		for j := range slices.Backward(turns[i].Results) {
			r := &turns[i].Results[j]
			if len(r.Images) == 0 {
				continue
			}
			mine, whole := 0, true
			for _, image := range r.Images {
				mine += len(image.Data)
				whole = whole && len(image.Data) > 0 // the store forgets old ones
			}
			if whole && with < most && size+mine <= maxPictureBytes {
				with, size = with+1, size+mine
				continue
			}
			r.Images = nil
			if r.Content != "" {
				r.Content += "\n"
			}
			r.Content += note
		}
	}
	return turns, with > 0
}
