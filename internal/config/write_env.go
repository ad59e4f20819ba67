package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names of the variables of .env that `secureclaw init` sets.
const (
	EnvTelegramToken = envTelegramToken
	EnvAllowedUsers  = envAllowedUsers
	EnvAnthropicKey  = envAnthropicKey
	EnvOpenAIKey     = envOpenAIKey
)

// SetEnv gives a variable of .env a value: in its own line when there is one, with its comment kept,
// else in a line at the end. No other byte changes. An error never holds a value.
func SetEnv(data []byte, name string, value Secret) ([]byte, error) {
	before, places, errs := parseEnv(".env", data)
	if len(errs) > 0 {
		return nil, errs
	}
	if was, ok := before[name]; ok && was == value.Reveal() {
		return data, nil
	}
	written := envText(value.Reveal())
	var out string
	if at, ok := places[name]; ok {
		lines := strings.SplitAfter(string(data), "\n")
		lines[at.Line-1] = replaceValue(lines[at.Line-1], written)
		out = strings.Join(lines, "")
	} else {
		newline := "\n"
		if strings.Contains(string(data), "\r\n") {
			newline = "\r\n"
		}
		out = string(data)
		if out != "" && !strings.HasSuffix(out, "\n") {
			out += newline
		}
		out += name + "=" + written + newline
	}
	// The line was cut by hand: only what reads back as meant is passed on.
	after, _, errs := parseEnv(".env", []byte(out))
	before[name] = value.Reveal()
	if len(errs) > 0 || !maps.Equal(before, after) {
		return nil, fmt.Errorf("%s: its value cannot be written into .env; is it whole, and on one line?", name)
	}
	return []byte(out), nil
}

// replaceValue puts a value behind the = of a line and keeps what stands around it.
func replaceValue(line, value string) string {
	head, raw, _ := strings.Cut(line, "=")
	end := len(strings.TrimRight(raw, " \t\r\n"))
	switch quote := raw[:min(1, len(raw))]; {
	case quote == "'" || quote == `"`:
		for i := 1; i < end; i++ {
			if raw[i] == '\\' && quote == `"` {
				i++
			} else if raw[i] == quote[0] {
				end = i + 1
			}
		}
	default:
		if at := strings.Index(raw, " #"); at >= 0 {
			end = len(strings.TrimRight(raw[:at], " \t"))
		}
	}
	return head + "=" + value + raw[end:]
}

// envText is a value as .env wants it written.
func envText(value string) string {
	switch {
	case strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-:.,@") == "":
		return value
	case !strings.Contains(value, "'"):
		return "'" + value + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(value) + `"`
}

// UserList is ids as [EnvAllowedUsers] wants them, each once, in their order.
func UserList(ids []int64) Secret {
	var s Secrets
	for _, id := range ids {
		if !slices.Contains(s.AllowedUserIDs, id) {
			s.AllowedUserIDs = append(s.AllowedUserIDs, id)
		}
	}
	return Secret(s.userIDs())
}
