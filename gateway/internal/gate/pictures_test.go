package gate_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// camera is a tool whose result has a picture.
type camera struct{ *noteTool }

var shot = []claw.Image{{MIME: "image/png", Name: "a.png", Data: []byte{1, 2, 3}}}

func (c camera) Run(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	r := c.noteTool.Run(ctx, call, action)
	r.Images = shot
	return r
}

// The picture of a result comes back with it, at once or from the store after an approval.
func TestPicturesOfAResult(t *testing.T) {
	w := newWorld(t, func(o *gate.Options) {
		for i, tool := range o.Tools {
			o.Tools[i] = camera{tool.(*noteTool)}
		}
	})
	if got := w.gate.Run(t.Context(), newCall("a"), autoNote, text("a")); got.Status != claw.OK || !cmp.Equal(got.Images, shot) {
		t.Errorf("Run = %+v, want the picture of its tool", got)
	}
	result := w.start(t.Context(), "b", askNote)
	if _, err := w.gate.Decide(t.Context(), w.question().ID, yes()); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got.Status != claw.OK || !cmp.Equal(got.Images, shot) {
		t.Errorf("Run of an approved call = %+v, want the picture of its tool", got)
	}
	if fate, err := w.gate.Fate(t.Context(), "b"); err != nil || !cmp.Equal(fate.Result.Images, shot) {
		t.Errorf("Fate = %+v, %v, want the picture from the store", fate, err)
	}
}
