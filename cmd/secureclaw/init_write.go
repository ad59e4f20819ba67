package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
)

// changes says what of the choices is not so yet.
func (s *setup) changes() config.Write {
	w := config.Write{Environ: os.Environ(), Check: checkRules, Now: time.Now}
	text := func(key, value, was string) {
		if value != was {
			w.Text = append(w.Text, config.KeyText{Key: key, Value: value})
		}
	}
	llm := s.cfg.LLM
	// Left empty, the provider follows the key: that somebody tries the rehearsal model first shall
	// not keep Claude from answering when a key comes later.
	if s.model.Provider != config.Rehearsal || llm.Provider != "" || s.now.AnthropicAPIKey != "" {
		text("llm.provider", s.model.Provider, llm.Provider)
	}
	if s.model.answers() != config.Rehearsal || s.model.Provider != config.Rehearsal {
		was := llm.Model
		if s.model.Provider == config.OpenAI {
			was = "" // it has no default, so it must stand there
		}
		text("llm.model", s.model.Model, was)
		text("llm.baseURL", s.model.BaseURL, llm.BaseURL)
	}
	now := s.cfg.Share()
	if share := s.folder.Share; s.folder.abs != now.Host || s.folder.abs != "" && share.Mode != now.Mode {
		if s.folder.abs == now.Host {
			share.Host = "" // as the file writes it
		}
		w.Share = &share
	}
	if s.folder.make {
		w.MakeFolder = s.folder.abs
	}
	env := func(name string, value, was config.Secret) {
		if value != "" && value != was {
			w.Env = append(w.Env, config.EnvValue{Name: name, Value: value})
		}
	}
	switch s.model.answers() {
	case config.Anthropic:
		env(config.EnvAnthropicKey, s.model.Key, s.was.AnthropicAPIKey)
	case config.OpenAI:
		env(config.EnvOpenAIKey, s.model.Key, s.was.OpenAIAPIKey)
	}
	env(config.EnvTelegramToken, s.bot.Token, s.was.TelegramBotToken)
	env(config.EnvAllowedUsers, config.UserList(s.bot.Users), config.UserList(s.was.AllowedUserIDs))
	return w
}

// summarize shows everything that was chosen; of a secret, four characters.
func (s *setup) summarize() {
	row := func(name, text string) { fmt.Fprintf(s.out, "  %-9s %s\n", name, visibleLine(text)) }
	row("model", s.modelWords())
	if url, variable := s.model.server(); variable != "" {
		row("", fmt.Sprintf("at %s (%s; not written)", url, variable))
	} else if url != "" && s.model.answers() != config.Rehearsal {
		row("", "at "+url)
	}
	row("telegram", s.botWords())
	mode := "tools may only read"
	if s.folder.Share.Mode == "rw" {
		mode = "tools may read and write"
	}
	if s.folder.make {
		mode += "; it will be made"
	}
	if s.folder.abs == "" {
		row("folder", "none")
	} else {
		row("folder", fmt.Sprintf("%s (%s)", s.folder.abs, mode))
	}
	w := s.changes()
	var keys, names []string
	for _, t := range w.Text {
		keys = append(keys, t.Key)
	}
	if w.Share != nil {
		keys = append(keys, "mounts")
	}
	for _, v := range w.Env {
		names = append(names, v.Name)
	}
	row("changes", fileWords(s.dirs.Config, keys, s.fresh))
	row("", fileWords(s.dirs.Env, names, s.was.CapabilitySecret == ""))
	for _, v := range w.Env {
		if other := os.Getenv(v.Name); other != "" && other != v.Value.Reveal() {
			fmt.Fprintf(s.out, "warning: %s is set in your environment too, and the environment goes before .env\n", v.Name)
		}
	}
}

func fileWords(path string, keys []string, fresh bool) string {
	switch {
	case len(keys) > 0:
		return path + ": " + strings.Join(keys, ", ")
	case fresh:
		return path + ": new"
	}
	return path + ": nothing"
}

func (s *setup) modelWords() string {
	provider := s.model.answers()
	if provider == config.Rehearsal {
		return "rehearsal: rules, no account"
	}
	checked := "not checked"
	if s.model.checked {
		checked = "checked"
	}
	key := "no key"
	if s.model.Key != "" {
		key = "key " + s.model.Key.Hint()
	}
	return fmt.Sprintf("%s/%s, %s, %s", provider, s.model.Model, key, checked)
}

func (s *setup) botWords() string {
	if s.bot.Token == "" {
		return "none"
	}
	name := "not checked"
	if s.bot.account.ID != 0 {
		name = "@" + s.bot.account.Username
	}
	who := "nobody is paired, so it answers nobody"
	if len(s.bot.Users) > 0 {
		who = "paired: " + userList(s.bot.Users)
	}
	return fmt.Sprintf("%s, token %s; %s", name, s.bot.Token.Hint(), who)
}

// write changes the files. It does not look at the context: it is short, and half of it would be worse.
func (s *setup) write() (config.Written, error) {
	written, err := s.dirs.Write(s.changes())
	if errors.Is(err, config.ErrByHand) {
		return written, &failure{exitConfig, "the configuration cannot be edited by program", err.Error(), "change that key yourself, then run secureclaw init again; nothing was written"}
	}
	return written, err
}

// initReport is the one document of init --json.
type initReport struct {
	Config   string           `json:"config"`
	Env      string           `json:"env"`
	Changed  []string         `json:"changed"` // of these two
	Backup   string           `json:"backup,omitempty"`
	Provider string           `json:"provider"`
	Model    string           `json:"model,omitempty"`
	BaseURL  string           `json:"baseURL,omitempty"`
	Key      string           `json:"key,omitempty"` // its last four characters
	Checked  bool             `json:"checked"`
	Telegram *initBot         `json:"telegram,omitempty"`
	Share    initShare        `json:"share"`
	Warnings []config.Warning `json:"warnings"`
}

type initBot struct {
	Bot   string  `json:"bot,omitempty"`
	Token string  `json:"token"`
	Users []int64 `json:"users"` // the first is the owner
}

type initShare struct {
	Folder string `json:"folder"`
	Mode   string `json:"mode"`
}

// report reads the files as `secureclaw up` will, and says what to do next.
func (s *setup) report(ctx context.Context, written config.Written, stdout io.Writer) error {
	if err := s.dirs.Prepare(); err != nil {
		return &failure{exitFailed, "the configuration is written, and a folder beside it is not ready", err.Error(), "mend that, then: secureclaw up" + homeFlag(s.g.Home)}
	}
	cfg, warnings, err := config.Load(s.dirs.Config, config.LoadOptions{Dirs: s.dirs, Env: os.Getenv})
	if err == nil {
		err = checkRules(s.dirs.Config, cfg)
	}
	if err != nil {
		return err
	}
	if s.g.JSON {
		return printJSON(stdout, s.document(cfg, written, warnings))
	}
	for _, w := range warnings {
		fmt.Fprintf(s.out, "warning: %s\n", visible(w.String()))
	}
	said := false
	for _, file := range []string{written.Config, written.Env} {
		if file != "" {
			fmt.Fprintf(stdout, "wrote %s\n", visibleLine(file))
			said = true
		}
	}
	if written.Backup != "" {
		fmt.Fprintf(stdout, "kept  %s\n", visibleLine(written.Backup))
	}
	if !said {
		fmt.Fprintln(stdout, "nothing had to change")
	}
	if s.bot.Token != "" && len(s.bot.Users) == 0 {
		fmt.Fprintf(stdout, "The bot answers nobody until you pair: secureclaw init%s\n", homeFlag(s.g.Home))
	}
	if s.gatewayRuns(ctx) {
		fmt.Fprintln(stdout, "next: stop SecureClaw and start it again")
	} else {
		fmt.Fprintf(stdout, "next: secureclaw up --chat%s   (or: make run)\n", homeFlag(s.g.Home))
	}
	return nil
}

func (s *setup) document(cfg *config.Config, written config.Written, warnings []config.Warning) initReport {
	r := initReport{
		Config: s.dirs.Config, Env: s.dirs.Env, Backup: written.Backup, Changed: []string{}, Warnings: append([]config.Warning{}, warnings...),
		Provider: s.model.answers(), Checked: s.model.checked, Share: initShare{s.folder.abs, s.folder.Share.Mode},
	}
	for _, file := range []string{written.Config, written.Env} {
		if file != "" {
			r.Changed = append(r.Changed, file)
		}
	}
	if r.Provider != config.Rehearsal {
		r.Model, r.BaseURL = cfg.LLM.Model, cfg.LLM.BaseURL
	}
	if s.model.Key != "" {
		r.Key = s.model.Key.Hint()
	}
	if s.bot.Token != "" {
		r.Telegram = &initBot{Bot: s.bot.account.Username, Token: s.bot.Token.Hint(), Users: append([]int64{}, s.bot.Users...)}
	}
	return r
}

// failed is a live check that ends an unattended run.
func (s *setup) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f := &failure{exitFailed, what, visibleLine(err.Error()), "check the key and the network; --no-check writes without asking. Nothing was written"}
	if e, ok := errors.AsType[*gateway.ModelError](err); ok {
		f.why, f.fix = visibleLine(e.What), visibleLine(e.Fix)+"; nothing was written"
	}
	return f
}
