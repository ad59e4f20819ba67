package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/config"
)

func newConfigCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Check and explain the configuration", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "check", Short: "Check secureclaw.yaml and .env; all errors at once, exit 3 when there are any", Args: usageArgs(cobra.NoArgs),
			Long: "Reads secureclaw.yaml and .env and starts nothing, changes nothing and generates nothing.",
			RunE: func(cmd *cobra.Command, _ []string) error {
				return checkConfig(g, cmd.OutOrStdout(), cmd.ErrOrStderr())
			},
		},
		&cobra.Command{
			Use: "explain [KEY]", Short: "Say what a key means, what is in force and where it comes from", Args: usageArgs(cobra.MaximumNArgs(1)),
			Long:    "Without KEY it lists every value in force. Of a secret it shows four characters at most.",
			Example: "  secureclaw config explain llm.model\n  secureclaw config explain executors.shell.memory\n  secureclaw config explain mounts[0].host",
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return listSettings(g, cmd.OutOrStdout())
				}
				return explainSetting(g, args[0], cmd.OutOrStdout())
			},
		},
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of secureclaw.yaml, for editors", Args: usageArgs(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				schema, err := config.Schema()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(schema)
				return err
			},
		},
	)
	return cmd
}

// configReport is the one document of config check --json.
type configReport struct {
	Valid    bool             `json:"valid"`
	Config   string           `json:"config"`
	Env      string           `json:"env"`
	Errors   config.Errors    `json:"errors"`
	Warnings []config.Warning `json:"warnings"`
}

func checkConfig(g *globals, stdout, stderr io.Writer) error {
	dirs, err := g.dirs()
	if err != nil {
		return err
	}
	report := configReport{Config: dirs.Config, Env: dirs.Env, Errors: config.Errors{}, Warnings: []config.Warning{}}
	cfg, warnings, err1 := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: os.Getenv})
	if err1 == nil {
		err1 = checkRules(dirs.Config, cfg)
	}
	secrets, err2 := config.LoadSecrets(dirs.Env, os.Environ(), config.SecretOptions{})
	for _, err := range []error{err1, err2} {
		problems, ok := errors.AsType[config.Errors](err)
		if err != nil && !ok {
			return err
		}
		report.Errors = append(report.Errors, problems...)
	}
	report.Warnings = append(report.Warnings, warnings...)
	report.Warnings = append(report.Warnings, secrets.Warnings(dirs.Env)...)
	report.Valid = len(report.Errors) == 0
	if g.JSON {
		if err := printJSON(stdout, report); err != nil {
			return err
		}
	} else {
		for _, p := range report.Errors {
			fmt.Fprintf(stderr, "error: %s\n", visible(p.String()))
		}
		for _, w := range report.Warnings {
			fmt.Fprintf(stderr, "warning: %s\n", visible(w.String()))
		}
	}
	if !report.Valid {
		f := &failure{code: exitConfig}
		if !g.JSON {
			f.what = fmt.Sprintf("%s in the configuration", plural(len(report.Errors), "problem"))
		}
		return f
	}
	if !g.JSON {
		from := dirs.Config
		if _, err := os.Stat(from); err != nil {
			from = config.BuiltIn + " (there is no " + dirs.Config + " yet)"
		}
		fmt.Fprintf(stdout, "ok: %s", from)
		if n := len(report.Warnings); n > 0 {
			fmt.Fprintf(stdout, ", %s", plural(n, "warning"))
		}
		fmt.Fprintf(stdout, "\nsecrets: %s\n", dirs.Env)
	}
	return nil
}

func loadForExplain(g *globals) (*config.Config, config.Dirs, error) {
	dirs, err := g.dirs()
	if err != nil {
		return nil, dirs, err
	}
	cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: os.Getenv})
	return cfg, dirs, err
}

func listSettings(g *globals, stdout io.Writer) error {
	cfg, _, err := loadForExplain(g)
	if err != nil {
		return err
	}
	settings := cfg.Settings()
	if g.JSON {
		return printJSON(stdout, settings)
	}
	for _, s := range settings {
		fmt.Fprintf(stdout, "%-44s %-36s %s\n", s.Key, visibleLine(shown(s.Value)), s.From)
	}
	return nil
}

func explainSetting(g *globals, key string, stdout io.Writer) error {
	cfg, dirs, err := loadForExplain(g)
	if err != nil {
		return err
	}
	var setting config.Setting
	if key == strings.ToUpper(key) { // a variable of .env
		secrets, err := config.LoadSecrets(dirs.Env, os.Environ(), config.SecretOptions{})
		if err != nil {
			return err
		}
		var ok bool
		if setting, ok = secrets.Explain(key); !ok {
			return fmt.Errorf("%w: no variable of .env is called %q", errUsage, key)
		}
	} else if setting, err = cfg.Explain(key); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if g.JSON {
		return printJSON(stdout, setting)
	}
	fmt.Fprintf(stdout, "%s\n  %s\n\n", setting.Key, setting.Meaning)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(stdout, "  %-9s %s\n", name, visibleLine(text))
		}
	}
	if setting.Keys == nil {
		row("value", shown(setting.Value))
	}
	row("from", setting.From)
	row("default", setting.Default)
	row("allowed", setting.Allowed)
	row("keys", strings.Join(setting.Keys, ", "))
	return nil
}

// shown is a value on one line.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "not set"
	case string:
		if v == "" {
			return `""`
		}
		return v
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = shown(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		items := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			items = append(items, name+": "+shown(v[name]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case fmt.Stringer:
		return v.String()
	case []config.Mount:
		return plural(len(v), "mount")
	case []config.Rule:
		return plural(len(v), "rule")
	case []config.Heartbeat:
		return plural(len(v), "heartbeat")
	}
	return fmt.Sprint(v)
}
