package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/config"
)

// initFlags are answers given in advance. Keys are none of them: arguments are seen by every user of
// the machine.
type initFlags struct {
	unattended bool
	noCheck    bool
	provider   string
	model      string
	baseURL    string
	share      string
	shareMode  string
	users      []int64
}

func newInitCmd(g *globals) *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Set up model, Telegram and the folder to share",
		Long: `Asks who answers, for a Telegram bot and for the folder to share, checks each live, shows what will be
written and writes secureclaw.yaml and .env. Only what you chose changes in them; the old secureclaw.yaml is
kept beside the new one. Run it again whenever you like: what is there is the default.

Flags are answers given in advance. Keys are typed, unseen, or taken from the environment, never from
arguments. With --non-interactive nothing is asked: ANTHROPIC_API_KEY or OPENAI_API_KEY, whichever the
provider wants, and TELEGRAM_BOT_TOKEN of the environment are checked and written to .env.`,
		Example: `  secureclaw init
  ANTHROPIC_API_KEY=… secureclaw init --non-interactive --provider anthropic --share ~/notes --share-mode ro
  secureclaw init --non-interactive --provider openai --base-url http://localhost:11434/v1 --model llama3.3`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return initialize(cmd.Context(), g, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.unattended, "non-interactive", false, "ask nothing; what no flag says stays as it is")
	flags.BoolVar(&f.noCheck, "no-check", false, "do not ask model and Telegram whether the keys are right")
	flags.StringVar(&f.provider, "provider", "", "rehearsal, anthropic or openai")
	flags.StringVar(&f.model, "model", "", "the model's id, as its provider names it")
	flags.StringVar(&f.baseURL, "base-url", "", "another server that speaks the provider's protocol")
	flags.StringVar(&f.share, "share", "", "the folder to share")
	flags.StringVar(&f.shareMode, "share-mode", "", "ro or rw: the most that tools may do there")
	flags.Int64SliceVar(&f.users, "telegram-user", nil, "numeric Telegram id that may talk to the agent, beside those that may already")
	return cmd
}

// check refuses what no flag may say.
func (f initFlags) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s\n  fix  see: secureclaw init --help", errUsage, fmt.Sprintf(format, args...))
	}
	switch {
	case f.provider != "" && !slices.Contains([]string{config.Rehearsal, config.Anthropic, config.OpenAI}, f.provider):
		return wrong("--provider %q is not one of rehearsal, anthropic, openai", f.provider)
	case f.shareMode != "" && f.shareMode != "ro" && f.shareMode != "rw":
		return wrong("--share-mode %q is neither ro nor rw", f.shareMode)
	case slices.ContainsFunc(f.users, func(id int64) bool { return id <= 0 }):
		return wrong("--telegram-user wants numbers above 0; a name can be taken over, a number cannot")
	}
	return nil
}

// setup is one run of init: what there is, and what was chosen so far.
type setup struct {
	g      *globals
	dirs   config.Dirs
	term   *terminal // nil when nothing is asked
	screen *os.File
	out    io.Writer
	check  bool // live

	fresh bool           // there is no secureclaw.yaml
	cfg   *config.Config // as the files say it
	was   config.Secrets // of .env alone
	now   config.Secrets // with the environment before it

	model  modelChoice
	bot    botChoice
	folder folderChoice
	skip   skipper
}

func initialize(parent context.Context, g *globals, f initFlags, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	if !f.unattended && !isTerminal(os.Stdin, os.Stderr) {
		return &failure{exitUsage, "init asks questions, and there is no terminal", "standard input or standard error is something else",
			"run it in a terminal, or: secureclaw init --non-interactive (see --help)"}
	}
	s, err := newSetup(g, f, stderr)
	if err != nil {
		return err
	}
	ctx, stop := s.listen(parent)
	defer stop()
	if f.unattended {
		err = s.unattended(ctx)
	} else {
		s.term, s.screen = &terminal{in: os.Stdin, out: stderr}, os.Stderr
		err = s.converse(ctx)
	}
	var written config.Written
	if err == nil {
		written, err = s.write() // from here on nothing stops it half-way
	}
	switch {
	case errors.Is(err, errInterrupted), errors.Is(err, errLeft):
		return &failure{code: exitFailed, what: err.Error() + "; nothing was written"}
	case err != nil:
		return err
	}
	return s.report(ctx, written, stdout)
}

// newSetup reads what there is and puts the flags on top of it.
func newSetup(g *globals, f initFlags, out io.Writer) (*setup, error) {
	dirs, err := g.dirs()
	if err != nil {
		return nil, err
	}
	s := &setup{g: g, dirs: dirs, out: out, check: !f.noCheck}
	if _, err := os.Stat(dirs.Config); errors.Is(err, fs.ErrNotExist) {
		s.fresh = true
	}
	// What the environment says of addresses is not in the files, and must not get into them.
	onlyFiles := func(name string) string {
		if name == "ANTHROPIC_BASE_URL" || name == "OPENAI_BASE_URL" {
			return ""
		}
		return os.Getenv(name)
	}
	if s.cfg, _, err = config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: onlyFiles}); err != nil {
		return nil, err
	}
	if s.was, err = config.LoadSecrets(dirs.Env, nil, config.SecretOptions{}); err != nil {
		return nil, err
	}
	if s.now, err = config.LoadSecrets(dirs.Env, os.Environ(), config.SecretOptions{}); err != nil {
		return nil, err
	}
	s.model = s.presentModel()
	if f.provider != "" && f.provider != s.model.Provider {
		s.model = s.to(f.provider)
	}
	if f.model != "" {
		s.model.Model = f.model
	}
	if f.baseURL != "" {
		s.model.BaseURL = f.baseURL
	}
	s.bot = botChoice{Token: s.now.TelegramBotToken, Users: slices.Clone(s.now.AllowedUserIDs)}
	for _, id := range f.users {
		if !slices.Contains(s.bot.Users, id) {
			s.bot.Users = append(s.bot.Users, id)
		}
	}
	s.folder = folderChoice{Share: s.cfg.Share()}
	if f.share != "" {
		s.folder.Share.Host = fromHere(f.share)
	}
	if f.shareMode != "" {
		s.folder.Share.Mode = f.shareMode
	}
	if s.folder.Share.Host == "" { // there is no mount, and that may be meant
		return s, nil
	}
	if s.folder, err = s.resolveFolder(s.folder.Share); err != nil {
		return nil, &failure{exitFailed, "this folder cannot be shared", err.Error(), "choose another one with --share"}
	}
	return s, nil
}

// converse asks everything, and at the end whether it shall be.
func (s *setup) converse(ctx context.Context) error {
	fmt.Fprintf(s.out, "Enter takes what stands in brackets. Nothing is written before the end. The files:\n  %s\n  %s\n", s.dirs.Config, s.dirs.Env)
	if s.gatewayRuns(ctx) {
		fmt.Fprintln(s.out, "SecureClaw is running: what changes here is in force when it starts again.")
	}
	for _, question := range []func(context.Context) error{s.askModel, s.askTelegram, s.askFolder} {
		if err := question(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.out)
	s.summarize()
	yes, err := s.term.yes(ctx, "Write?", true)
	if err == nil && !yes {
		err = &failure{code: exitRefused, what: "nothing was written"}
	}
	return err
}

// unattended checks what the flags and the environment say.
func (s *setup) unattended(ctx context.Context) error {
	if s.model.Provider == config.Anthropic && s.model.Key == "" {
		return &failure{exitLogin, "there is no key for Claude", "ANTHROPIC_API_KEY is neither in the environment nor in .env", "ANTHROPIC_API_KEY=… secureclaw init --non-interactive …   (keys: https://console.anthropic.com)"}
	}
	if s.model.Provider == config.OpenAI && s.model.Model == "" {
		return fmt.Errorf("%w: --provider openai has no default model\n  fix  name one that the server has: --model ID", errUsage)
	}
	if s.folder.make && s.folder.abs != s.workspace() {
		return &failure{exitFailed, "the folder to share does not exist", s.folder.abs, "mkdir -p " + s.folder.abs}
	}
	if danger := folderDanger(s.folder.abs, os.Getenv("HOME")); danger != "" {
		fmt.Fprintf(s.out, "warning: %s\n", visibleLine(danger))
	}
	if s.check {
		if err := s.checkModel(ctx); err != nil {
			return s.failed(ctx, "the model does not answer", err)
		}
		if s.bot.Token != "" {
			if err := s.checkBot(ctx); err != nil {
				return s.failed(ctx, "Telegram does not take the bot's token", err)
			}
		}
	}
	s.summarize()
	return context.Cause(ctx)
}

// errInterrupted ends everything before the first byte is written.
var errInterrupted = errors.New("interrupted")

// skipper holds what a Ctrl-C ends at the moment, when that is less than everything.
type skipper struct {
	mu sync.Mutex
	f  func()
}

func (s *skipper) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f = f
}

func (s *skipper) skipped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return false
	}
	s.f()
	s.f = nil
	return true
}

// listen gives init a context of its own: of the program's a first Ctrl-C is the end, and here it may
// skip the wait for a person and no more.
func (s *setup) listen(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case sig := <-signals:
				if sig != os.Interrupt || !s.skip.skipped() {
					cancel(errInterrupted)
				}
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		<-gone
		cancel(nil)
	}
}

// gatewayRuns reports whether a gateway answers on this home.
func (s *setup) gatewayRuns(ctx context.Context) bool {
	conn, err := dialGateway(ctx, s.g)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
