package snapshot

import "strings"

// kind says how a role is written.
type kind int8

const (
	other    kind = iota // a block of its own: landmarks, lists, tables, groups
	wrapper              // not written, only what is in it
	flowing              // a block whose content begins on its line: headings, paragraphs, items
	inline               // part of a line, in brackets
	control              // inline, and can be acted on
	sentinel             // text and breaks
)

// role is how a role of the browser is written. named tells that its name is made of its content, if
// nobody gave it another.
type role struct {
	word  string
	kind  kind
	named bool
}

// What only tells how text looks (strong, emphasis, mark, time, rowgroup) is not written.
//
// The words are those of ARIA but for the most frequent ones: h1 for a heading of level 1, p for a
// paragraph, - for an item of a list, img, sup, sub, del and ins as in HTML.
func roleOf(name string) role {
	switch name {
	case "", "none", "generic", "presentation", "RootWebArea", "LabelText", "strong", "emphasis", "mark", "time", "rowgroup",
		"MenuListPopup", "LayoutTable", "LayoutTableRow", "LayoutTableCell", "Section", "Pre", "Abbr", "Ruby", "RubyAnnotation",
		"paragraphGroup", "MathMLRow", "SvgRoot", "Details", "DescriptionListDetail", "EmbeddedObject", "PluginObject", "Legend",
		"sectionheader", "sectionfooter", "ImageMap":
		return role{"", wrapper, false}
	case "StaticText", "ListMarker", "LineBreak":
		return role{"text", sentinel, false}
	case "heading":
		return role{"h", flowing, true}
	case "paragraph":
		return role{"p", flowing, true}
	case "listitem", "ListItem":
		return role{"-", flowing, true}
	case "term", "DescriptionListTerm", "definition", "caption", "Figcaption", "figcaption", "blockquote", "note", "comment", "status", "alert", "tooltip", "log",
		"cell", "gridcell", "columnheader", "rowheader", "row", "suggestion", "marquee", "timer":
		return role{strings.ToLower(strings.TrimPrefix(name, "DescriptionList")), flowing, true}
	case "link", "button", "checkbox", "radio", "switch", "option", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "treeitem":
		return role{name, control, true}
	case "textbox", "searchbox", "combobox", "listbox", "slider", "spinbutton":
		return role{name, control, false}
	case "DisclosureTriangle", "DisclosureTriangleGrouped", "PopUpButton", "ToggleButton":
		return role{"button", control, true}
	case "ListBoxOption", "MenuListOption":
		return role{"option", control, true}
	case "ComboBoxSelect", "ComboBoxMenuButton":
		return role{"combobox", control, false}
	case "Date", "DateTime", "InputTime", "Month", "Week", "DateField", "TimeField":
		return role{"date", control, false}
	case "ColorWell":
		return role{"colour", control, false}
	case "image", "img", "graphics-symbol", "graphics-document", "graphics-object":
		return role{"img", inline, false}
	case "Canvas", "Video", "Audio", "math", "meter", "progressbar", "scrollbar", "object", "code":
		return role{strings.ToLower(name), inline, name == "code" || name == "math"}
	case "ProgressIndicator":
		return role{"progressbar", inline, false}
	case "MathMLMath":
		return role{"math", inline, true}
	case "superscript":
		return role{"sup", inline, true}
	case "subscript":
		return role{"sub", inline, true}
	case "deletion":
		return role{"del", inline, true}
	case "insertion":
		return role{"ins", inline, true}
	case "Iframe", "IframePresentational":
		return role{"iframe", other, false}
	case "list", "DescriptionList", "table", "grid", "treegrid", "tree", "menu", "menubar", "tablist", "tabpanel", "toolbar", "radiogroup", "group", "figure",
		"banner", "complementary", "contentinfo", "form", "main", "navigation", "region", "search", "article", "dialog", "alertdialog", "feed",
		"document", "application", "directory", "separator":
		return role{strings.TrimPrefix(name, "Description"), other, false}
	}
	return role{"part", other, false}
}

// words are all that can stand behind a bracket: page text that looks like one of them there is
// written differently, see [quote].
func isWord(word string) bool {
	switch word {
	case "link", "button", "checkbox", "radio", "switch", "option", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "treeitem", "textbox",
		"searchbox", "combobox", "listbox", "slider", "spinbutton", "date", "colour", "img", "canvas", "video", "audio", "math", "meter",
		"progressbar", "scrollbar", "object", "code", "sup", "sub", "del", "ins", "clickable", "focusable", "text", "options", "selected", "disabled",
		"placeholder", "description", hiddenFromView, "h1", "h2", "h3", "h4", "h5", "h6", "p", "-", "term", "definition", "caption", "figcaption",
		"blockquote", "note", "comment", "status", "alert", "tooltip", "log", "cell", "gridcell", "columnheader", "rowheader", "row", "suggestion",
		"marquee", "timer", "part", "list", "iframe":
		return true
	}
	return false
}

// hiddenFromView marks text that was laid out so that no person sees it.
const hiddenFromView = "hidden-from-view"
