// Package config reads secureclaw.yaml and .env: strictly, with every error at once and its line
// and column, and explains where each effective value comes from. See [Load].
//
// It refuses unknown keys, a second document, values out of range, conditions that could never hold
// and mounts that would show an agent its own secrets. It never prints a secret. Whether a rule's
// examples come out as written is for the one who classifies calls to say.
package config

import "time"

// Config is the whole of secureclaw.yaml after defaults, checked. Host paths are absolute.
type Config struct {
	LLM            LLM                 `yaml:"llm"`
	Executors      map[string]Executor `yaml:"executors"` // by kind: shell, file, web
	Mounts         []Mount             `yaml:"mounts"`
	ActionTiers    ActionTiers         `yaml:"actionTiers"`
	Approvals      Approvals           `yaml:"approvals"`
	TrustedDomains []Site              `yaml:"trustedDomains"`
	Heartbeats     []Heartbeat         `yaml:"heartbeats"`
	User           User                `yaml:"user"`
	Limits         Limits              `yaml:"limits"`
	OAuth          map[string]OAuth    `yaml:"oauth"` // by service: google, github
	Docker         Docker              `yaml:"docker"`
	Runner         Runner              `yaml:"runner"`

	origin *origin
}

// LLM says which model answers.
type LLM struct {
	Provider   string   `yaml:"provider"`   // anthropic, openai, rehearsal; empty: anthropic with a key, else rehearsal
	Model      string   `yaml:"model"`      // default claude-sonnet-5-5
	MaxTokens  int      `yaml:"maxTokens"`  // most tokens of one answer
	BaseURL    string   `yaml:"baseURL"`    // another server that speaks the provider's protocol
	Iterations int      `yaml:"iterations"` // most model calls for one message, 1 to 10
	Timeout    Duration `yaml:"timeout"`    // for one model call, first byte to last
	Context    int      `yaml:"context"`    // tokens of conversation that a question may carry; what is older is summarised
	Pictures   string   `yaml:"pictures"`   // yes, no; empty: yes for anthropic, no for openai, whose servers may refuse them
}

// Executor says in what kind of container a kind of tool runs: the ceilings no token can pass.
type Executor struct {
	Image     string   `yaml:"image"`
	Runtime   string   `yaml:"runtime"` // runc, runsc, kata…; missing on the host: refused
	Memory    Bytes    `yaml:"memory"`  // no extra swap
	CPUs      float64  `yaml:"cpus"`
	Pids      int64    `yaml:"pids"`      // most processes and threads
	Timeout   Duration `yaml:"timeout"`   // most a call may take
	OutputCap Bytes    `yaml:"outputCap"` // most of each output text, at most 128 KiB
	Tmp       Bytes    `yaml:"tmp"`       // size of /tmp
	FileSize  Bytes    `yaml:"fileSize"`  // most a written file may hold (RLIMIT_FSIZE)
	Mounts    []string `yaml:"mounts"`    // names of mounts it may see
	Domains   []string `yaml:"domains"`   // web only: where pages of any site may get their parts from
}

// Site is a name, or a wildcard, whose pages are opened without asking, and where its pages get their
// parts from. In YAML it is the name alone, or a group of both.
type Site struct {
	Name string   `yaml:"name"`
	With []string `yaml:"with"`
}

// Mount is a folder of the user's that executors may get, by name.
type Mount struct {
	Name      string `yaml:"name"`
	Host      string `yaml:"host"`      // absolute, ~/… or relative to the folder of the configuration's home
	Container string `yaml:"container"` // absolute path inside
	Mode      string `yaml:"mode"`      // ro or rw: the most a call may get
	// Hide are globs, relative to the folder, of what commands and searches that run unasked do not
	// see. nil is the built-in list ([Mount.Hidden]); an empty list hides nothing.
	Hide []string `yaml:"hide"`
}

// InboxMount names the mount whose folder SecureClaw writes files into that came in a chat. It is
// read-only for every tool.
const InboxMount = "inbox"

// ActionTiers are the three lists of rules; they are searched strictest first.
type ActionTiers struct {
	RequireApproval []Rule `yaml:"requireApproval"`
	Notify          []Rule `yaml:"notify"`
	AutoApprove     []Rule `yaml:"autoApprove"`
}

// Rule matches calls of one tool. All conditions of When must hold.
type Rule struct {
	Tool string `yaml:"tool"` // exact name, or "*" in requireApproval only
	// When maps an argument's name to patterns, one of which must match: globs (doublestar) for
	// strings (clean paths), equality for numbers and booleans. The key "domain" matches every
	// domain of the call against exact names, "*.example.com" or [TrustedKeyword].
	When     map[string]Patterns `yaml:"when"`
	Reason   string              `yaml:"reason"`
	Examples []Example           `yaml:"examples"`
	// Line is where the rule stands in the file; Where is "requireApproval[3] secureclaw.yaml:88".
	Line  int    `yaml:"-"`
	Where string `yaml:"-"`
}

// Patterns is one pattern or a list of them in YAML.
type Patterns []string

// Example is a call and the tier that the whole table must give it; it is checked at load.
type Example struct {
	Args map[string]any `yaml:"args"`
	Tier string         `yaml:"tier"`
}

// Approvals says how long a question stays open, and when a message is too old to act on unasked.
type Approvals struct {
	Expiry          Duration `yaml:"expiry"`          // default 30m
	HeartbeatExpiry Duration `yaml:"heartbeatExpiry"` // default 8h
	// LateAfter is how old a message may be when it reaches us and still be acted on unasked; default 5m.
	LateAfter Duration `yaml:"lateAfter"`
}

// Heartbeat is a prompt on a clock.
type Heartbeat struct {
	Name     string `yaml:"name"`
	Schedule string `yaml:"schedule"` // five cron fields
	Timezone string `yaml:"timezone"`
	Prompt   string `yaml:"prompt"`
	Enabled  bool   `yaml:"enabled"`
	Missed   string `yaml:"missed"` // once, skip: what becomes of times that passed while nothing ran
}

// User is who the owner is, in his own words, for the model.
type User struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
}

// Limits are how many tokens may be spent, those of the prompt included. Zero is no limit.
type Limits struct {
	TokensPerDay  int64 `yaml:"tokensPerDay"`  // by everybody and everything, from midnight to midnight
	TokensPerTask int64 `yaml:"tokensPerTask"` // by one request that takes several steps
}

// OAuth is a client registration; its secret stands in .env.
type OAuth struct {
	ClientID string   `yaml:"clientID"`
	Scopes   []string `yaml:"scopes"`
}

// Docker says where the engine is. Only the runner uses it.
type Docker struct {
	Host string `yaml:"host"` // unix:///…; empty: DOCKER_HOST, else the usual sockets
}

// Runner says how the runner prepares for calls.
type Runner struct {
	Ready Ready `yaml:"ready"`
}

// Ready is about containers that are started before a call needs them.
type Ready struct {
	Memory Bytes `yaml:"memory"` // most that all of them hold together; 0: none is kept
}

// Duration is a time.Duration written as "90s" or "30m" in YAML.
type Duration time.Duration

// Bytes is a size written as "256MiB" or "64KiB" in YAML; a plain number counts bytes.
type Bytes int64
