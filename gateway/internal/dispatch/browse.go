package dispatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Bounds of what a call types into a page. They keep a question about it short enough to be read.
const (
	maxTyped  = 8 << 10  // bytes of one text
	maxWords  = 16 << 10 // bytes of all texts of a call
	maxRef    = 256
	maxWait   = 30  // seconds of one wait
	leastText = 200 // characters of a page that are worth asking for
)

// prepareBrowse reads the arguments of browse_web. What it may reach is the host of its URL and what the
// configuration adds for that host; nothing that the model wrote adds a name.
func (d *Dispatch) prepareBrowse(input []byte) (claw.Action, error) {
	var args run.Browse
	if err := decode(input, schemaBrowse, &args); err != nil {
		return claw.Action{}, fmt.Errorf("arguments of %s: %w", run.ToolBrowse, err)
	}
	u, err := domain.ParseURL(args.URL)
	if err != nil {
		return claw.Action{}, fmt.Errorf("url: %s: %w", domain.CodeOf(err), err)
	}
	args.URL = u.Text
	if args.Extract == "" {
		args.Extract = run.ExtractTree
	}
	web := d.cfg.Executors[kindWeb]
	err = errors.Join(
		oneOf("extract", args.Extract, run.ExtractTree, run.ExtractText, run.ExtractLinks, run.ExtractScreenshot),
		checkMaxChars(args.MaxChars, int(web.OutputCap)),
		checkActions(args.Actions, time.Duration(web.Timeout)),
	)
	if err != nil {
		return claw.Action{}, fmt.Errorf("arguments of %s: %w", run.ToolBrowse, err)
	}
	action, err := d.action(run.ToolBrowse, kindWeb, args, nil, 0)
	if err != nil {
		return claw.Action{}, err
	}
	action.Domains, _ = d.cfg.Reach(u.Host)
	return action, nil
}

func checkMaxChars(n, most int) error {
	if n == 0 || n >= leastText && n <= most {
		return nil
	}
	return fmt.Errorf("max_chars is %d, want %d to %d, or none for as much as fits", n, leastText, most)
}

// checkActions refuses what no page could make sense of, and puts the rest in one form.
func checkActions(actions []run.BrowseAction, timeout time.Duration) error {
	if len(actions) > run.MaxActions {
		return fmt.Errorf("there are %d actions, the most is %d; do the rest in another call", len(actions), run.MaxActions)
	}
	words, waits := 0, 0
	for i := range actions {
		a := &actions[i]
		if err := checkAction(a); err != nil {
			return fmt.Errorf("actions[%d]: %w", i, err)
		}
		words += len(a.Text)
		waits += a.Seconds
	}
	if words > maxWords {
		return fmt.Errorf("the texts of all actions have %d bytes, the most is %d", words, maxWords)
	}
	if most := int(timeout / time.Second); waits > 0 && waits >= most {
		return fmt.Errorf("the actions wait %d s, and the whole call may take %d s", waits, most)
	}
	return nil
}

func checkAction(a *run.BrowseAction) error {
	a.Ref = strings.TrimSuffix(strings.TrimPrefix(a.Ref, "["), "]") // as it stands in the tree
	if a.Do == run.DoScroll && a.Ref == "" && a.Text == "" {
		a.Text = "down"
	}
	const ref, text, seconds = 1, 2, 4
	has := 0
	for i, given := range []bool{a.Ref != "", a.Text != "", a.Seconds != 0} {
		if given {
			has |= 1 << i
		}
	}
	var want []int // what may be given together
	var says string
	switch a.Do {
	case run.DoClick:
		want, says = []int{ref}, "a ref and nothing else"
	case run.DoType:
		want, says = []int{ref | text, ref}, "a ref and a text; without a text the field is emptied"
	case run.DoSelect:
		want, says = []int{ref | text}, "a ref and the text of an option"
	case run.DoScroll:
		want, says = []int{ref, text}, "a ref, or as its text down, up, top or bottom"
	case run.DoWait:
		want, says = []int{seconds, text, seconds | text}, "seconds, or a text to wait for, or both"
	case run.DoBack:
		want, says = []int{0}, "nothing else"
	case run.DoPress:
		want, says = []int{text, ref | text}, "the name of a key as its text, and a ref if it is for one element"
	default:
		return oneOf("do", a.Do, run.DoClick, run.DoType, run.DoSelect, run.DoScroll, run.DoWait, run.DoBack, run.DoPress)
	}
	if !slices.Contains(want, has) {
		return fmt.Errorf("%s takes %s", a.Do, says)
	}
	control := func(r rune) bool { return unicode.IsControl(r) && (a.Do != run.DoType || r != '\n' && r != '\t') }
	switch {
	case a.Do == run.DoScroll && a.Ref == "":
		return oneOf("text", a.Text, "down", "up", "top", "bottom")
	case a.Seconds < 0 || a.Seconds > maxWait:
		return fmt.Errorf("seconds is %d, want 1 to %d", a.Seconds, maxWait)
	case len(a.Ref) > maxRef || strings.ContainsFunc(a.Ref, unicode.IsControl):
		return fmt.Errorf("ref is none that a page was shown with")
	case len(a.Text) > maxTyped:
		return fmt.Errorf("text has %d bytes, the most is %d", len(a.Text), maxTyped)
	case strings.ContainsFunc(a.Text, control):
		return errors.New("text holds a control character")
	}
	return nil
}

// picture takes the screenshot out of a value that the model reads as text: it goes beside it, and to
// the user. ok is false when the value is no result of browse_web.
func (d *Dispatch) picture(ctx context.Context, call gate.Call, action claw.Action, value strict.Value) (rest strict.Value, images []claw.Image, ok bool) {
	if len(value) == 0 {
		return value, nil, true
	}
	var page run.BrowseResult
	if err := strict.Decode(value, &page); err != nil {
		return nil, nil, false
	}
	shot := page.Image
	if shot == nil {
		return value, nil, true
	}
	page.Image = nil
	image := claw.Image{MIME: shot.MIME, Name: pictureName(action, shot.MIME), Data: shot.Data}
	switch {
	case image.Name == "" || len(shot.Data) > run.MaxPicture || http.DetectContentType(shot.Data) != shot.MIME:
		page.Notes = append(page.Notes, "The screenshot was no picture that can be shown, and is left out.")
	default:
		images = []claw.Image{image}
		page.Notes = append(page.Notes, d.show(ctx, call, image))
	}
	rest, err := strict.CanonicalOf(page)
	return rest, images, err == nil
}

// show gives a screenshot to the user, as a message and as a file, and says to the model what became of it.
func (d *Dispatch) show(ctx context.Context, call gate.Call, image claw.Image) string {
	shown := d.hand != nil && d.hand(ctx, call, image.Name, image.MIME, "", image.Data) == nil
	file := ""
	if d.keep != nil {
		var err error
		if file, err = d.keep(ctx, call, image.Name, image.MIME, image.Data); err != nil {
			file = ""
		}
	}
	switch {
	case shown && file != "":
		return "The user sees the screenshot too; it is kept as " + file + "."
	case shown:
		return "The user sees the screenshot too."
	case file != "":
		return "The screenshot is kept as " + file + ", and the user is told where it lies; it cannot be shown in this conversation."
	default:
		return "The screenshot cannot be shown to the user in this conversation; say in words what is on it."
	}
}

// pictureName is what the user sees, empty for a type that is none of a screenshot.
func pictureName(action claw.Action, mime string) string {
	ending := map[string]string{"image/png": ".png", "image/jpeg": ".jpg"}[mime]
	if ending == "" || len(action.Domains) == 0 {
		return ""
	}
	return "screenshot-" + action.Domains[0] + ending
}
