package anthropic_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/anthropic"
	"github.com/secureclaw/secureclaw/internal/fake"
)

func pngOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 4)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seen is a conversation in which two pages were looked at, and one of them was no success.
func seen(images ...claw.Image) llm.Request {
	req := question()
	req.Turns = append(req.Turns,
		claw.Turn{Role: claw.Assistant, Calls: []claw.ToolCall{{ModelID: "c1", Tool: "browse_web", Input: "{}"}, {ModelID: "c2", Tool: "browse_web", Input: "{}"}}},
		claw.Turn{Role: claw.User, Results: []claw.ToolResult{
			{ModelID: "c1", Tool: "browse_web", Status: claw.OK, Content: "one", Images: images},
			{ModelID: "c2", Tool: "browse_web", Status: claw.Failed, Content: "two", Images: images},
		}},
		claw.Turn{Role: claw.User, Text: "And?"},
	)
	return req
}

// The text of a result comes before its pictures; an error holds text alone, and its picture follows.
func TestPicturesGoWithTheirResult(t *testing.T) {
	one, two := claw.Image{MIME: "image/png", Data: pngOf(t, 8000, 3)}, claw.Image{MIME: "image/jpeg", Data: jpegOf(t)}
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"})
	if _, err := model(t, s, nil, func(o *anthropic.Options) { o.Images = true }).Ask(t.Context(), seen(one, two), nil); err != nil {
		t.Fatal(err)
	}
	pictures := []fake.Picture{{MIME: one.MIME, Data: one.Data}, {MIME: two.MIME, Data: two.Data}}
	want := fake.Turn{Role: "user", Text: "And?", Pictures: pictures, Results: []fake.Result{
		{ID: "c1", Content: "one", Pictures: pictures}, {ID: "c2", Content: "two", IsError: true},
	}}
	if diff := cmp.Diff(want, s.Requests()[0].Turns[2]); diff != "" {
		t.Errorf("the turn (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoPictureStaysHere(t *testing.T) {
	for name, img := range map[string]claw.Image{
		"another type":     {MIME: "image/jpeg", Data: pngOf(t, 4, 4)},
		"a type we do not": {MIME: "image/svg+xml", Data: []byte("<svg/>")},
		"no bytes":         {MIME: "image/png"},
		"cut":              {MIME: "image/png", Data: pngOf(t, 4, 4)[:20]},
		"too wide":         {MIME: "image/png", Data: pngOf(t, 8001, 1)},
		"too many bytes":   {MIME: "image/png", Data: append(pngOf(t, 4, 4), make([]byte, 3<<20)...)},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewAnthropic(t)
			s.Script(fake.Answer{Text: "ok"})
			if _, err := model(t, s, nil, func(o *anthropic.Options) { o.Images = true }).Ask(t.Context(), seen(img), nil); err != nil {
				t.Fatal(err)
			}
			got := s.Requests()[0].Turns[2]
			for i, r := range got.Results {
				if len(r.Pictures)+len(got.Pictures) > 0 || !strings.Contains(r.Content, "no picture that can be shown") {
					t.Errorf("result %d = %+v, want words in place of the picture", i, r)
				}
			}
		})
	}
}

func TestAModelWithoutEyesIsToldOfPictures(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"})
	if _, err := model(t, s, nil).Ask(t.Context(), seen(claw.Image{MIME: "image/png", Data: pngOf(t, 4, 4)}), nil); err != nil {
		t.Fatal(err)
	}
	got := s.Requests()[0].Turns[2]
	if want := "one\n(a screenshot was taken; this model takes no pictures)"; got.Results[0].Content != want || len(got.Pictures)+len(got.Results[0].Pictures) > 0 {
		t.Errorf("the first result is %+v, want %q and no picture", got.Results[0], want)
	}
}
