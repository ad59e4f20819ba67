package config

import (
	"strings"
	"time"
)

// kind is what a key holds.
type kind int

const (
	group    kind = iota // fixed keys
	named                // a name for each value
	list                 // values in an order
	text                 // one line or a block of text
	whole                // a whole number
	number               // a number, also with a fraction
	truth                // true or false
	duration             // 90s
	size                 // 256MiB
	patterns             // a pattern or a list of them
	argument             // any plain value, as a tool takes it
)

// says names a kind for messages.
func (k kind) says() string {
	return [...]string{"a group of keys", "a group of names", "a list", "text", "a whole number", "a number", "true or false", "a duration like 90s", "a size like 256MiB", "a pattern or a list of patterns", "a value"}[k]
}

// key describes one key of secureclaw.yaml. Reading, [Config.Explain] and [Schema] all follow this
// one table, so what is documented is what is checked.
type key struct {
	name     string
	kind     kind
	meaning  string
	short    string            // of a group: the key that a text in place of the group stands for
	defFor   map[string]string // like def, for single names of the named group around it
	defs     []string          // of a list of texts: the value when absent or left blank; an empty list is a value
	def      string            // the value when absent, as written in YAML; {name} is the name in the named group around it
	required bool              // no default makes sense
	oneOf    []string          // the only values; of a named group, the only names
	min, max float64           // of whole, number; nanoseconds of duration; bytes of size. max 0: no range
	pattern  string            // regular expression of a text
	says     string            // what pattern wants, in words
	keys     []key             // of a group
	each     *key              // of a named group or a list
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

const namePattern = `^[a-z][a-z0-9_-]{0,31}$`
const nameSays = "a short lower-case name: a letter, then letters, digits, - or _"

// table is the whole of secureclaw.yaml.
func table() key {
	return key{kind: group, meaning: "The configuration of SecureClaw.", keys: []key{
		{name: "llm", kind: group, meaning: "Which model answers.", keys: llmKeys()},
		{name: "executors", kind: named, oneOf: []string{"shell", "file", "web"}, meaning: "In what kind of container each kind of tool runs: ceilings that no call can pass. A kind that is not listed cannot run.",
			each: &key{kind: group, meaning: "One kind of container.", keys: executorKeys()}},
		{name: "mounts", kind: list, meaning: "Folders of yours that executors may get, by name. Nothing else of this computer is visible to them.",
			each: &key{kind: group, meaning: "One folder.", keys: mountKeys()}},
		{name: "actionTiers", kind: group, meaning: "Which calls run, run and tell, or ask first. The strictest list is searched first; what no rule matches asks.", keys: []key{
			{name: "requireApproval", kind: list, each: ruleKey(), meaning: "Calls that wait for your yes. When the key is absent the shipped rules for secrets and for files that run later hold; [] turns them off."},
			{name: "notify", kind: list, each: ruleKey(), meaning: "Calls that run and then tell you."},
			{name: "autoApprove", kind: list, each: ruleKey(), meaning: "Calls that run."},
		}},
		{name: "approvals", kind: group, meaning: "How long a question stays open; then the answer is no. And when a message is too old to act on unasked.", keys: []key{
			{name: "expiry", kind: duration, def: "30m", min: float64(10 * time.Second), max: float64(24 * time.Hour), meaning: "For what a message of yours asked."},
			{name: "heartbeatExpiry", kind: duration, def: "8h", min: float64(10 * time.Second), max: float64(7 * 24 * time.Hour), meaning: "For what a heartbeat asked."},
			{name: "lateAfter", kind: duration, def: "5m", min: float64(time.Minute), max: float64(24 * time.Hour), meaning: "A message that is older than this when it arrives, because this computer was off, may have lost its sense: every call for it that would change something asks first."},
		}},
		{name: "trustedDomains", kind: list, meaning: "Sites whose pages may be opened without asking, where a rule says `domain: trustedDomains`. A site that is not here asks each time. It must not be one where strangers get names, like *.github.io.",
			each: &key{kind: group, short: "name", meaning: "One site: its name alone, or a group of its name and where its pages get their parts from.", keys: siteKeys()}},
		{name: "heartbeats", kind: list, each: &key{kind: group, meaning: "One prompt on a clock.", keys: heartbeatKeys()}, meaning: "Prompts on a clock. They have no more rights than a message."},
		{name: "user", kind: group, meaning: "Who you are. The model reads it in every conversation of yours.", keys: []key{
			{name: "name", kind: text, pattern: `^.{0,80}$`, says: "at most 80 characters on one line", meaning: "What you want to be called."},
			{name: "about", kind: text, pattern: `^[\s\S]{0,1000}$`, says: "at most 1,000 characters", meaning: "What an assistant should know of you: language, place, tastes."},
		}},
		{name: "limits", kind: group, meaning: "How many tokens may be spent, prompts included. What reaches a limit pauses and says so.", keys: []key{
			{name: "tokensPerDay", kind: whole, def: "5000000", min: 0, max: 1e12, meaning: "By all conversations, tasks and heartbeats together, from midnight to midnight of this computer's clock. 0 is no limit."},
			{name: "tokensPerTask", kind: whole, def: "1000000", min: 0, max: 1e12, meaning: "By one request that takes several steps; \"go on\" allows as much again. 0 is no limit."},
		}},
		{name: "oauth", kind: named, oneOf: []string{"google", "github"}, meaning: "Services that you may connect. Client secrets stand in .env, never here.",
			each: &key{kind: group, meaning: "One registered client.", keys: []key{
				{name: "clientID", kind: text, required: true, meaning: "The client's public id."},
				{name: "scopes", kind: list, each: &key{kind: text, meaning: "A scope as the service names it."}, meaning: "The most that may be asked for."},
			}}},
		{name: "docker", kind: group, meaning: "The container engine. Only the runner talks to it.", keys: []key{
			{name: "host", kind: text, pattern: `^(unix:///.+)?$`, says: "unix:// and an absolute path", meaning: "Where its socket is. Empty: DOCKER_HOST, else the usual places."},
		}},
		{name: "runner", kind: group, meaning: "How the runner prepares for calls.", keys: []key{
			{name: "ready", kind: group, meaning: "Containers that are started before a call needs them. Each serves one call and is gone.", keys: []key{
				{name: "memory", kind: size, def: "256MiB", min: 0, max: 64 * gib, meaning: "Most memory that all of them may hold while they wait. 0 keeps none: each call starts its own, which takes some 0.1 s, with a browser 1 s."},
			}},
		}},
	}}
}

func llmKeys() []key {
	return []key{
		{name: "provider", kind: text, oneOf: []string{"", "anthropic", "openai", "rehearsal"}, meaning: "Who is asked. Empty: anthropic when .env has ANTHROPIC_API_KEY, else rehearsal, which needs no account. openai is any server that speaks its protocol."},
		{name: "model", kind: text, def: DefaultModel, pattern: `^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$`, says: "a model id without spaces", meaning: "The model's id, as its provider names it."},
		{name: "maxTokens", kind: whole, def: "8192", min: 256, max: 128000, meaning: "Most tokens of one answer."},
		{name: "baseURL", kind: text, meaning: "Another server that speaks the provider's protocol. Empty: the provider's own; ANTHROPIC_BASE_URL or OPENAI_BASE_URL in the environment goes first."},
		{name: "iterations", kind: whole, def: "10", min: 1, max: 10, meaning: "Most model calls for one message."},
		{name: "timeout", kind: duration, def: "5m", min: float64(5 * time.Second), max: float64(10 * time.Minute), meaning: "Most time of one model call, from the question to the last word."},
		{name: "context", kind: whole, def: "100000", min: 8000, max: 2000000, meaning: "Most tokens of a conversation that a question carries. What is older is summarised for the model; nothing is deleted."},
		{name: "pictures", kind: text, oneOf: []string{"", "yes", "no"}, meaning: "Whether the model is shown screenshots. Empty: yes for anthropic, no for openai, because many servers of that protocol refuse a question with a picture."},
	}
}

func executorKeys() []key {
	return []key{
		{name: "image", kind: text, def: "secureclaw/executor-{name}:latest", pattern: `^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$`, says: "the name of an image", meaning: "Image that is present on this computer; it is never pulled for a call."},
		{name: "runtime", kind: text, def: "runc", pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, says: "the name of a runtime", meaning: "OCI runtime: runc, runsc, kata… One that the engine does not have is an error, never replaced."},
		{name: "memory", kind: size, def: "256MiB", defFor: map[string]string{"web": "1GiB"}, min: 16 * mib, max: 64 * gib, meaning: "Most memory; there is no swap on top."},
		{name: "cpus", kind: number, def: "1", defFor: map[string]string{"web": "2"}, min: 0.05, max: 64, meaning: "Most processors."},
		{name: "pids", kind: whole, def: "128", defFor: map[string]string{"web": "512"}, min: 8, max: 4096, meaning: "Most processes and threads."},
		{name: "timeout", kind: duration, def: "60s", min: float64(time.Second), max: float64(10 * time.Minute), meaning: "Most time of one call; then the container is killed."},
		{name: "outputCap", kind: size, def: "64KiB", min: kib, max: 128 * kib, meaning: "Most of each output text; what is cut is said."},
		{name: "tmp", kind: size, def: "64MiB", defFor: map[string]string{"web": "256MiB"}, min: mib, max: 4 * gib, meaning: "Size of /tmp. It counts as memory and nothing in it can be executed."},
		{name: "fileSize", kind: size, def: "64MiB", defFor: map[string]string{"web": "256MiB"}, min: 64 * kib, max: 64 * gib, meaning: "Most that one written file may hold."},
		{name: "mounts", kind: list, each: &key{kind: text, meaning: "The name of a mount."}, meaning: "Names of mounts it may see. shell and file only."},
		{name: "domains", kind: list, each: nameKey(), meaning: "Where pages of any site may get their parts from, such as scripts and fonts. web only. A page of such a name alone still asks."},
	}
}

func siteKeys() []key {
	site := *nameKey()
	site.name, site.required = "name", true
	return []key{site, {name: "with", kind: list, each: nameKey(), meaning: "Other names that pages of this site get their parts from, such as scripts and fonts. A call that opens the site may reach them too; their own pages still ask."}}
}

// nameKey is a name that may be reached.
func nameKey() *key {
	return &key{kind: text, pattern: `^.+$`, says: siteSays, meaning: "example.com, which is that name alone, or *.example.com, which is every name of exactly one label more (www.example.com). Lower case; other alphabets as xn--…"}
}

func mountKeys() []key {
	return []key{
		{name: "name", kind: text, required: true, pattern: namePattern, says: nameSays, meaning: "What executors and rules call it."},
		{name: "host", kind: text, required: true, meaning: "The folder on this computer: absolute, ~/… or relative to SecureClaw's home."},
		{name: "container", kind: text, required: true, meaning: "Where tools see it: an absolute path that overlaps no other mount."},
		{name: "mode", kind: text, def: "ro", oneOf: []string{"ro", "rw"}, meaning: "The most a call may get: read only, or read and write."},
		{name: "hide", kind: list, defs: secretGlobs(), each: &key{kind: text, meaning: "A glob relative to the folder; letter case is ignored."}, meaning: "What a command or a search that runs unasked cannot open in this folder, whole folders included: globs relative to it. A command with access write, which you approve, sees everything, and so does read_file, which is judged by its path. When the key is absent the shipped list of secrets holds; [] hides nothing."},
	}
}

func ruleKey() *key {
	return &key{kind: group, meaning: "One rule: a tool and conditions that must all hold.", keys: []key{
		{name: "tool", kind: text, required: true, pattern: `^([a-z][a-z0-9_]{0,63}|\*)$`, says: `the name of a tool, or "*" in requireApproval`, meaning: `The tool's exact name; "*" is every tool and stands in requireApproval only.`},
		{name: "when", kind: named, each: &key{kind: patterns, meaning: "Patterns of which one must match."}, meaning: "Argument → patterns: globs for text (** crosses folders), the value for numbers and booleans. domain stands for every name that the call may reach; trustedDomains as its pattern is that list."},
		{name: "reason", kind: text, meaning: "Shown to you when the rule decides."},
		{name: "examples", kind: list, meaning: "Calls and what the whole table must say to them; checked whenever the file is read.", each: &key{kind: group, meaning: "One call.", keys: []key{
			{name: "args", kind: named, each: &key{kind: argument, meaning: "An argument."}, meaning: "The call's arguments."},
			{name: "tier", kind: text, required: true, oneOf: []string{"requireApproval", "notify", "autoApprove"}, meaning: "The list that must decide."},
		}}},
	}}
}

func heartbeatKeys() []key {
	return []key{
		{name: "name", kind: text, required: true, pattern: namePattern, says: nameSays, meaning: "What you call it."},
		{name: "schedule", kind: text, required: true, meaning: "Five cron fields: minute hour day month weekday."},
		{name: "timezone", kind: text, def: "Local", meaning: "A name like Europe/Berlin, or Local."},
		{name: "prompt", kind: text, required: true, meaning: "What is asked each time."},
		{name: "enabled", kind: truth, def: "false", meaning: "Whether it beats, until you turn it on or off by a command."},
		{name: "missed", kind: text, def: "once", oneOf: []string{"once", "skip"}, meaning: "What becomes of times that passed while this computer was off or asleep: once, however many there were, or none."},
	}
}

// child finds the key below k that is called name.
func (k *key) child(name string) (key, bool) {
	if k.kind == named || k.kind == list {
		return *k.each, true
	}
	for _, c := range k.keys {
		if c.name == name {
			return c, true
		}
	}
	return key{}, false
}

func (k *key) names() []string {
	if k.kind == named {
		return k.oneOf
	}
	names := make([]string, len(k.keys))
	for i, c := range k.keys {
		names[i] = c.name
	}
	return names
}

// defaultFor is the built-in value below the named group's entry called name.
func (k *key) defaultFor(name string) string {
	if k.defs != nil {
		return strings.Join(k.defs, ", ")
	}
	if def, ok := k.defFor[name]; ok {
		return def
	}
	return strings.ReplaceAll(k.def, "{name}", name)
}
