package rehearsal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// maxShown is the most bytes of one result that an answer repeats.
const maxShown = 32 << 10

// render says what came back, one result after another.
func render(results []claw.ToolResult) string {
	var out []string
	for _, r := range results {
		out = append(out, cut(one(r)))
	}
	return strings.Join(out, "\n\n")
}

// one says how a call ended. The value of a call that failed stands behind its error.
func one(r claw.ToolResult) string {
	switch r.Status {
	case claw.OK:
		if text, ok := value(r.Tool, r.Content); ok {
			return text
		}
		return fmt.Sprintf("%s: done.\n%s", r.Tool, r.Content)
	case claw.Failed:
		if text, ok := value(r.Tool, r.Content); ok {
			return text
		}
		if head, tail, found := strings.Cut(r.Content, "\n{"); found {
			if text, ok := value(r.Tool, "{"+tail); ok {
				return fmt.Sprintf("%s failed: %s\n%s", r.Tool, head, text)
			}
		}
		return fmt.Sprintf("%s failed: %s", r.Tool, r.Content)
	case claw.Refused:
		return fmt.Sprintf("%s was refused, nothing ran: %s", r.Tool, r.Content)
	case claw.Denied:
		return fmt.Sprintf("%s was denied, nothing ran: %s", r.Tool, r.Content)
	case claw.Expired:
		return fmt.Sprintf("%s was not approved in time, nothing ran: %s", r.Tool, r.Content)
	case claw.TimedOut:
		if head, tail, found := strings.Cut(r.Content, "\n{"); found {
			if text, ok := value(r.Tool, "{"+tail); ok {
				return fmt.Sprintf("%s ran into its deadline: %s\n%s", r.Tool, head, text)
			}
		}
		return fmt.Sprintf("%s ran into its deadline: %s", r.Tool, r.Content)
	case claw.Cancelled:
		return fmt.Sprintf("%s was stopped: %s", r.Tool, r.Content)
	}
	return fmt.Sprintf("%s ended in an unknown way and is not repeated: %s", r.Tool, r.Content)
}

// value renders the value of a tool that is known here.
func value(tool, content string) (string, bool) {
	switch tool {
	case toolRemember, toolRecall:
		return content, true // plain text already
	case run.ToolShell:
		return decode(content, shell)
	case run.ToolReadFile:
		return decode(content, readFile)
	case run.ToolWriteFile:
		return decode(content, func(v run.WriteFileResult) string {
			what := "Changed"
			if v.Created {
				what = "Created"
			}
			return strings.TrimRight(fmt.Sprintf("%s %s (%d bytes).\n%s", what, v.Path, v.Size, v.Diff.Text), "\n")
		})
	case run.ToolListDirectory:
		return decode(content, list)
	case run.ToolSearchFiles:
		return decode(content, search)
	case run.ToolStat:
		return decode(content, func(v run.StatResult) string {
			return fmt.Sprintf("%s: %s, %d bytes, %s, %d link(s), changed %s%s", v.Path, v.Type, v.Size, v.Mode, v.Links, v.Modified, target(v.Entry))
		})
	case run.ToolBrowse:
		return decode(content, page)
	case run.ToolSendFile:
		return decode(content, func(v run.SendFileResult) string {
			return fmt.Sprintf("%s (%d bytes, SHA-256 %s): %s.", v.Name, v.Size, v.SHA256, v.Note)
		})
	}
	return "", false
}

func decode[V any](content string, show func(V) string) (string, bool) {
	var v V
	if err := strict.Decode([]byte(content), &v); err != nil {
		return "", false
	}
	return show(v), true
}

func shell(v run.ShellResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "exit code %d", v.ExitCode)
	if v.Note != "" {
		fmt.Fprintf(&b, " (%s)", v.Note)
	}
	for _, out := range []struct {
		name string
		text run.Text
	}{{"stdout", v.Stdout}, {"stderr", v.Stderr}} {
		if out.text.Text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s", out.name, strings.TrimRight(out.text.Text, "\n"))
		}
	}
	return b.String()
}

func readFile(v run.ReadFileResult) string {
	switch {
	case v.Binary:
		return fmt.Sprintf("%s is not text (%d bytes). %s", v.Path, v.Size, v.Note)
	case v.Content == "":
		return fmt.Sprintf("%s has nothing to show (%d bytes). %s", v.Path, v.Size, v.Note)
	}
	head := fmt.Sprintf("%s, lines %d to %d:", v.Path, v.FirstLine, v.LastLine)
	if v.Truncated {
		head = fmt.Sprintf("%s, lines %d to %d (there is more):", v.Path, v.FirstLine, v.LastLine)
	}
	return head + "\n" + strings.TrimRight(v.Content, "\n")
}

func list(v run.ListDirectoryResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d name(s)", v.Path, v.Total)
	if v.Truncated {
		fmt.Fprintf(&b, ", the first %d:", len(v.Entries))
	}
	for _, e := range v.Entries {
		fmt.Fprintf(&b, "\n  %-9s %10d  %s%s", e.Type, e.Size, e.Name, target(e))
	}
	return b.String()
}

func target(e run.Entry) string {
	if e.Target == "" {
		return ""
	}
	return " -> " + e.Target
}

func search(v run.SearchFilesResult) string {
	if len(v.Matches) == 0 {
		return strings.TrimSpace("No match. " + v.Note)
	}
	var b strings.Builder
	for _, m := range v.Matches {
		fmt.Fprintf(&b, "%s:%d: %s\n", m.Path, m.Line, strings.TrimRight(m.Text, "\r\n"))
	}
	if v.Truncated {
		b.WriteString("(there are more)\n")
	}
	b.WriteString(v.Note)
	return strings.TrimRight(b.String(), "\n")
}

// cut keeps an answer readable, and says so.
func cut(text string) string {
	if len(text) <= maxShown {
		return text
	}
	end := maxShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s\n(cut here: %d bytes more)", text[:end], len(text)-end)
}
