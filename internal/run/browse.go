package run

import "runtime"

// MaxBrowsers is the most web calls that the runner runs at once on this machine, and the gateway gives it.
func MaxBrowsers() int { return min(4, runtime.NumCPU()+1) }

// ToolBrowse opens a page of the web.
const ToolBrowse = "browse_web"

// What a call of browse_web brings back.
const (
	ExtractTree       = "tree"       // the accessibility tree in lines, with refs for actions
	ExtractText       = "text"       // what a reader sees, without structure
	ExtractLinks      = "links"      // every link with its text
	ExtractScreenshot = "screenshot" // a picture of the window, with the tree cut short
)

// Kinds of action.
const (
	DoClick  = "click"  // on Ref
	DoType   = "type"   // Text into Ref, replacing what was there
	DoSelect = "select" // the option Text of Ref
	DoScroll = "scroll" // Ref into view, or the page by Text: down, up, top, bottom
	DoWait   = "wait"   // Seconds, or until Text appears
	DoBack   = "back"
	DoPress  = "press" // the key Text (Enter, Tab, Escape, ArrowDown, a…), on Ref or what has the focus
)

// Browse is the input of browse_web. URL is the one form of package domain.
type Browse struct {
	URL      string         `json:"url"`
	Actions  []BrowseAction `json:"actions,omitempty"`
	Extract  string         `json:"extract"`
	MaxChars int            `json:"max_chars,omitzero"` // of the content; zero: as many as fit the cap
}

// MaxActions is the most actions of one call.
const MaxActions = 20

// BrowseAction is one step on the page. Ref names an element as the tree shows it: refs are made of
// role, name and place among equals, so those of an earlier call still hold on the same page.
type BrowseAction struct {
	Do      string `json:"do"`
	Ref     string `json:"ref,omitzero"`
	Text    string `json:"text,omitzero"`
	Seconds int    `json:"seconds,omitzero"` // of wait, 1 to 30
}

// BrowseResult is its value. All text in it is a stranger's: control and invisible characters are
// written visibly, and every part is capped.
type BrowseResult struct {
	URL       string   `json:"url"` // where the page ended
	Title     string   `json:"title"`
	Status    int      `json:"status,omitzero"`     // HTTP status of the page
	Redirects []string `json:"redirects,omitempty"` // URLs on the way, first to last
	// Actions says what each action did, in order; those after a failed one were not done.
	Actions []string `json:"actions,omitempty"`
	Content Text     `json:"content"`
	// Blocked are hosts that the page wanted and this call may not reach, the most wanted first.
	Blocked []Blocked `json:"blocked,omitempty"`
	// Notes are sentences about what else happened: a dialog was dismissed, a download or a new window
	// refused, the page never settled, a certificate was wrong.
	Notes []string `json:"notes,omitempty"`
	Image *Picture `json:"image,omitzero"`
}

// Blocked is a host that was refused. Code and Why are those of the proxy.
type Blocked struct {
	Host  string `json:"host"`
	Count int    `json:"count"`
	Code  string `json:"code,omitzero"`
	Why   string `json:"why,omitzero"`
}

// MaxPicture is the most bytes of a picture in a result: in base64 it leaves room in a frame.
const MaxPicture = 512 << 10

// Picture is a screenshot.
type Picture struct {
	MIME   string `json:"mime"` // image/png or image/jpeg
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Data   []byte `json:"data"`
}
