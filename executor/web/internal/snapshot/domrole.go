package snapshot

import "strings"

// roleOf is Chromium's name for the role of an element.
func (p *view) roleOf(i int, tag string) string {
	if given, ok := p.attribute(i, "role"); ok {
		given, _, _ = strings.Cut(strings.TrimSpace(given), " ")
		if given == "none" || given == "presentation" || roleOf(given).word != "part" && given != "" {
			return given
		}
	}
	switch tag {
	case "A", "AREA":
		if _, ok := p.attribute(i, "href"); ok {
			return "link"
		}
	case "INPUT":
		kind, _ := p.attribute(i, "type")
		switch strings.ToLower(kind) {
		case "checkbox", "radio":
			return strings.ToLower(kind)
		case "submit", "button", "reset", "image", "file":
			return "button"
		case "hidden":
			return ""
		case "search":
			return "searchbox"
		case "number":
			return "spinbutton"
		case "range":
			return "slider"
		case "date", "time", "datetime-local", "month", "week":
			return "Date"
		case "color":
			return "ColorWell"
		}
		return "textbox"
	case "SELECT":
		if _, ok := p.attribute(i, "multiple"); ok {
			return "listbox"
		}
		return "combobox"
	case "SECTION", "FORM":
		_, label := p.attribute(i, "aria-label")
		_, labelled := p.attribute(i, "aria-labelledby")
		if label || labelled {
			return map[string]string{"SECTION": "region", "FORM": "form"}[tag]
		}
	case "TH":
		if scope, _ := p.attribute(i, "scope"); scope == "row" {
			return "rowheader"
		}
		return "columnheader"
	}
	return tagRole(tag)
}

func tagRole(tag string) string {
	switch tag {
	case "H1", "H2", "H3", "H4", "H5", "H6":
		return "heading"
	case "BUTTON", "TEXTAREA", "OPTION", "TABLE", "NAV", "MAIN", "ARTICLE", "FIGURE", "CAPTION", "FIGCAPTION", "CODE", "BLOCKQUOTE", "DIALOG":
		if tag == "TEXTAREA" {
			return "textbox"
		}
		if tag == "NAV" {
			return "navigation"
		}
		return strings.ToLower(tag)
	case "P":
		return "paragraph"
	case "UL", "OL", "MENU":
		return "list"
	case "LI":
		return "listitem"
	case "DL":
		return "DescriptionList"
	case "DT":
		return "term"
	case "DD":
		return "definition"
	case "TR":
		return "row"
	case "TD":
		return "cell"
	case "ASIDE":
		return "complementary"
	case "IMG":
		return "image"
	case "IFRAME", "FRAME":
		return "Iframe"
	case "SUP":
		return "superscript"
	case "SUB":
		return "subscript"
	case "DEL", "S":
		return "deletion"
	case "INS":
		return "insertion"
	case "HR":
		return "separator"
	case "SUMMARY":
		return "DisclosureTriangle"
	case "FIELDSET":
		return "group"
	case "CANVAS":
		return "Canvas"
	case "VIDEO":
		return "Video"
	case "AUDIO":
		return "Audio"
	case "METER":
		return "meter"
	case "PROGRESS":
		return "ProgressIndicator"
	case "BR":
		return "LineBreak"
	case "LABEL":
		return "LabelText"
	}
	return "generic"
}
