package rehearsal

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// The tools of the gateway's memory.
const (
	toolRemember = "save_memory"
	toolRecall   = "search_memory"
)

// verb is one form of command. Its first matching form counts, so the order matters.
type verb struct {
	form    *regexp.Regexp
	tool    string
	args    func(m []string) map[string]any // nil: it is another form, after all
	example string                          // for the help; empty: said with another form
	means   string
}

var verbs = []verb{
	{form: form(`run(?:!| with write(?: access)?): *(.+)`), tool: run.ToolShell, example: "run!: touch a.txt", means: "a command that may write",
		args: func(m []string) map[string]any { return map[string]any{"command": m[1], "access": run.AccessWrite} }},
	{form: form(`run(?:: *| +)(.+)`), tool: run.ToolShell, example: "run: uname -a", means: "a command in a container, read-only",
		args: func(m []string) map[string]any { return map[string]any{"command": m[1], "access": run.AccessRead} }},
	{form: form(`read (.+?),? +(?:from +)?lines? +(\d+)(?: *(?:-|–|to) *(\d+))?`), tool: run.ToolReadFile, example: "read notes.md lines 3-10", means: "some lines of a file", args: readLines},
	{form: form(`(?:read|cat|show) (.+)`), tool: run.ToolReadFile, example: "read notes.md", means: "a file",
		args: func(m []string) map[string]any { return map[string]any{"path": name(m[1])} }},
	{form: form(`what do you (?:remember|know) about (.+?)[?.!]*`), tool: toolRecall, example: "what do you remember about tea", means: "what was remembered before", args: recall},
	{form: form(`search (?:the |my |your )?memor(?:y|ies) for (.+)`), tool: toolRecall, args: recall},
	{form: form(`search (?:for )?(.+) in (.+?)`), tool: run.ToolSearchFiles, example: "search TODO in .", means: "a regular expression in files",
		args: func(m []string) map[string]any {
			return map[string]any{"pattern": name(m[1]), "path": name(m[2])}
		}},
	{form: form(`search (?:for )?(.+)`), tool: run.ToolSearchFiles, example: "search TODO", means: "the same, in the first folder",
		args: func(m []string) map[string]any { return map[string]any{"pattern": name(m[1])} }},
	{form: form(`write (.+) to (.+?)`), tool: run.ToolWriteFile, example: "write hello to a.txt", means: "a line as a whole file", args: write(run.WriteOverwrite)},
	{form: form(`create (?:file )?(.+?) with (.+)`), tool: run.ToolWriteFile, example: "create a.txt with hello", means: "the same, if there is no such file",
		args: func(m []string) map[string]any { return write(run.WriteCreate)([]string{"", m[2], m[1]}) }},
	{form: form(`(?:append|add) (.+) to (.+?)`), tool: run.ToolWriteFile, example: "append more to a.txt", means: "a line at the end of a file", args: write(run.WriteAppend)},
	{form: form(`(?:list|ls)(?: (?:files in )?(.+))?`), tool: run.ToolListDirectory, example: "list, list notes", means: "a directory",
		args: func(m []string) map[string]any {
			if m[1] == "" {
				return map[string]any{"path": "."}
			}
			return map[string]any{"path": name(m[1])}
		}},
	{form: form(`stat (.+)`), tool: run.ToolStat, example: "stat a.txt", means: "size, time and mode of a name",
		args: func(m []string) map[string]any { return map[string]any{"path": name(m[1])} }},
	{form: form(`send (?:me )?(.+)`), tool: run.ToolSendFile, example: "send notes.md", means: "a file, into this chat",
		args: func(m []string) map[string]any { return map[string]any{"path": name(m[1])} }},
	{form: form(`(?:browse|open|visit) (?:to )?(\S+?),? +(?:and|then) +(.+)`), tool: run.ToolBrowse, args: act,
		example: "browse https://… and click 3k7f", means: "a web page, after steps on it: click, type … into, select … in, press, scroll, wait, back"},
	{form: form(`browse (?:to )?(\S+)`), tool: run.ToolBrowse, example: "browse https://example.com", means: "a web page", args: browse("")},
	{form: form(`(?:open|visit) (https?://\S+)`), tool: run.ToolBrowse, args: browse("")},
	{form: form(`screenshot (?:of )?(\S+)`), tool: run.ToolBrowse, example: "screenshot https://example.com", means: "a picture of a web page", args: browse(run.ExtractScreenshot)},
	{form: form(`links (?:of|on) (\S+)`), tool: run.ToolBrowse, example: "links of https://example.com", means: "where a web page leads", args: browse(run.ExtractLinks)},
	{form: form(`remember (?:that )?(.+)`), tool: toolRemember, example: "remember I like tea", means: "a fact for later",
		args: func(m []string) map[string]any { return map[string]any{"content": m[1]} }},
}

func recall(m []string) map[string]any { return map[string]any{"query": name(m[1])} }

// form matches a whole command, in any letter case, over line ends.
func form(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?is)^\s*` + pattern + `\s*$`) }

// command is what a user asked for.
type command struct {
	said string
	tool string
	args map[string]any
}

// input is the JSON of a command's arguments. Tools that are not known here may call their one text
// otherwise; their schema says how.
func (c command) input(tool claw.Tool) (string, error) {
	args := c.args
	if c.tool == toolRemember {
		// The schema is ours and has more in it than what is asked here.
		var schema struct{ Required []string }
		if err := json.Unmarshal(tool.Schema, &schema); err == nil && len(schema.Required) > 0 {
			for _, value := range args {
				args = map[string]any{schema.Required[0]: value}
			}
		}
	}
	data, err := strict.Encode(args)
	if err != nil {
		return "", errors.New("it has bytes that are not UTF-8")
	}
	return string(data), nil
}

// joint is a "then" (or ";;") that begins another command. The text of a shell command is its own: a "then"
// in it belongs to the shell.
var joint = regexp.MustCompile(`(?is)\s*(?:;;|[,;]?\s+(?:and\s+)?then\s+)\s*`)

// parse reads a message line by line. Lines behind a shell command that begin no command continue it, so
// that a script can have more than one. What is neither is returned in rest.
func parse(text string) (commands []command, rest []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		found, ok := parseLine(line)
		last := len(commands) - 1
		switch {
		case ok:
			commands = append(commands, found...)
		case last >= 0 && commands[last].tool == run.ToolShell && len(rest) == 0:
			script := commands[last].args["command"].(string)
			commands[last].args["command"] = script + "\n" + line
		default:
			rest = append(rest, line)
		}
	}
	if len(commands) == 0 && len(rest) == 0 {
		rest = []string{""}
	}
	return commands, rest
}

// parseLine reads one line of commands that are joined by "then".
func parseLine(line string) ([]command, bool) {
	whole, ok := parseOne(line)
	if ok && whole.tool == run.ToolShell {
		return []command{whole}, true
	}
	for _, at := range joint.FindAllStringIndex(line, -1) {
		left, okLeft := parseOne(line[:at[0]])
		right, okRight := parseLine(line[at[1]:])
		if okLeft && okRight {
			return append([]command{left}, right...), true
		}
	}
	return []command{whole}, ok
}

func parseOne(text string) (command, bool) {
	for _, v := range verbs {
		if m := v.form.FindStringSubmatch(text); m != nil {
			if args := v.args(m); args != nil {
				return command{said: shorten(strings.TrimSpace(text)), tool: v.tool, args: args}, true
			}
		}
	}
	return command{}, false
}

// name takes the quotes off a path or a pattern.
func name(text string) string {
	text = strings.TrimSpace(text)
	for _, q := range []string{`"`, `'`, "`"} {
		if len(text) > 2 && strings.HasPrefix(text, q) && strings.HasSuffix(text, q) {
			return text[1 : len(text)-1]
		}
	}
	return text
}

func readLines(m []string) map[string]any {
	args := map[string]any{"path": name(m[1])}
	from, err := strconv.Atoi(m[2])
	if err != nil {
		return args
	}
	args["offset"] = max(from, 1)
	to, err := strconv.Atoi(m[3])
	switch {
	case m[3] == "":
		args["limit"] = 1
	case err == nil && to >= from:
		args["limit"] = to - max(from, 1) + 1
	}
	return args
}

// write makes the arguments of write_file. A text in double quotes may have escapes; every text ends in a line end.
func write(mode string) func(m []string) map[string]any {
	return func(m []string) map[string]any {
		text := strings.TrimSpace(m[1])
		if plain, err := strconv.Unquote(text); err == nil && strings.HasPrefix(text, `"`) {
			text = plain
		} else {
			text = name(text)
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return map[string]any{"path": name(m[2]), "content": text, "mode": mode}
	}
}
