package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// envVar is one variable of .env.
type envVar struct {
	name    string
	meaning string
	// Where it goes: get for a secret, set for a value that is none, which says why it cannot be.
	get func(*Secrets) *Secret
	set func(*Secrets, string) (why string)
	// show is a value of the second kind, for people.
	show func(*Secrets) any
}

// Names of the variables that .env may hold.
const (
	envTelegramToken    = "TELEGRAM_BOT_TOKEN"
	envAllowedUsers     = "TELEGRAM_ALLOWED_USERS"
	envTelegramAPI      = "TELEGRAM_API_URL"
	envAnthropicKey     = "ANTHROPIC_API_KEY"
	envOpenAIKey        = "OPENAI_API_KEY"
	envCapabilitySecret = "CAPABILITY_SECRET"
	envOAuthKey         = "OAUTH_KEY"
)

// oldAllowedUsers is what envAllowedUsers was called before there was a bridge; both may stand in
// a file, but not at once.
const oldAllowedUsers = "ALLOWED_USER_IDS"

// envName is the name that a variable goes by.
func envName(written string) string {
	if written == oldAllowedUsers {
		return envAllowedUsers
	}
	return written
}

// capabilityPublicKey is what the runner gets instead of envCapabilitySecret.
const capabilityPublicKey = "CAPABILITY_PUBLIC_KEY"

func envVars() []envVar {
	return []envVar{
		{name: envTelegramToken, meaning: "The bot's token, from @BotFather. Only the bridge gets it.", get: func(s *Secrets) *Secret { return &s.TelegramBotToken }},
		{name: envAllowedUsers, meaning: "Numeric Telegram ids that may talk to the agent; the first is the owner. Empty: nobody. The bridge and the gateway each check it.",
			set: setUserIDs, show: func(s *Secrets) any { return s.AllowedUserIDs }},
		{name: envTelegramAPI, meaning: "Another server that speaks Telegram's Bot API, such as one of your own. Empty: Telegram's. Only the bridge gets it.",
			set: setTelegramAPI, show: func(s *Secrets) any { return s.TelegramAPIURL }},
		{name: envAnthropicKey, meaning: "The key for Claude. Only the gateway gets it.", get: func(s *Secrets) *Secret { return &s.AnthropicAPIKey }},
		{name: envOpenAIKey, meaning: "The key for llm.provider openai. Only the gateway gets it.", get: func(s *Secrets) *Secret { return &s.OpenAIAPIKey }},
		{name: envCapabilitySecret, meaning: "Signs what each tool call may touch. Generated; only the gateway gets it.", get: func(s *Secrets) *Secret { return &s.CapabilitySecret }},
		{name: envOAuthKey, meaning: "Seals the tokens of connected services. Generated; only the gateway gets it.", get: func(s *Secrets) *Secret { return &s.OAuthKey }},
	}
}

func envNames() []string {
	var names []string
	for _, v := range envVars() {
		names = append(names, v.name)
	}
	return names
}

// parseEnv reads lines of NAME=VALUE. A value may stand in single quotes (taken as it is) or in
// double quotes (\\ \" \n \t); nothing is ever expanded. A message never repeats a value.
func parseEnv(name string, data []byte) (map[string]string, map[string]Place, Errors) {
	values, places := map[string]string{}, map[string]Place{}
	var errs Errors
	fail := func(line, column int, key, format string, args ...any) {
		errs = append(errs, Problem{File: name, Line: line, Column: column, Key: key, Message: fmt.Sprintf(format, args...)})
	}
	if len(data) > maxFile {
		fail(0, 0, "", "the file is larger than %v", Bytes(maxFile))
		return nil, nil, errs
	}
	for i, line := range strings.Split(string(data), "\n") {
		number := i + 1
		line = strings.TrimSuffix(line, "\r")
		trimmed := strings.TrimLeft(line, " \t")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		indent := len(line) - len(trimmed)
		key, raw, ok := strings.Cut(trimmed, "=")
		if !ok {
			fail(number, indent+1, "", "want NAME=VALUE")
			continue
		}
		if rest, exported := strings.CutPrefix(key, "export "); exported {
			key = strings.TrimLeft(rest, " ")
		}
		key = envName(key)
		if !slices.Contains(envNames(), key) {
			switch near := nearest(key, envNames()); {
			case looksSecret(key):
				fail(number, indent+1, "", "unknown name; known here: %s", strings.Join(envNames(), ", "))
			case near != "" && strings.TrimSpace(key) == near:
				fail(number, indent+1, near, "no space may stand before =")
			case near != "":
				fail(number, indent+1, clip(key), "unknown name %q; did you mean %q?", clip(key), near)
			default:
				fail(number, indent+1, clip(key), "unknown name %q; known here: %s", clip(key), strings.Join(envNames(), ", "))
			}
			continue
		}
		if first, twice := places[key]; twice {
			fail(number, indent+1, key, "%s stands twice, in lines %d and %d; keep one", key, first.Line, number)
			continue
		}
		places[key] = Place{name, number, indent + 1}
		if key == envAllowedUsers {
			raw = strings.ReplaceAll(raw, ", ", ",")
		}
		value, why := envValue(raw)
		if why != "" {
			fail(number, indent+len(trimmed)-len(raw)+1, key, "%s: %s", key, why)
			continue
		}
		values[key] = value
	}
	return values, places, errs
}

func envValue(raw string) (value, why string) {
	if !utf8.ValidString(raw) || strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", "the value holds a control character or is not UTF-8"
	}
	raw = strings.TrimRight(raw, " \t")
	if raw == "" {
		return "", ""
	}
	quote := raw[0]
	if quote != '"' && quote != '\'' {
		if at := strings.Index(raw, " #"); at >= 0 {
			raw = strings.TrimRight(raw[:at], " \t")
		}
		if strings.ContainsAny(raw, " \t\"'`$\\") {
			return "", "the value holds a space, a quote, $ or \\; put it in single quotes"
		}
		return raw, ""
	}
	var b strings.Builder
	for i := 1; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == quote:
			rest := strings.TrimLeft(raw[i+1:], " \t")
			if rest != "" && rest[0] != '#' {
				return "", "something follows the closing quote"
			}
			return b.String(), ""
		case c == '\\' && quote == '"':
			i++
			if i == len(raw) || !strings.ContainsRune(`\"nt`, rune(raw[i])) {
				return "", `in double quotes, a backslash may stand before \ " n or t only`
			}
			b.WriteByte(map[byte]byte{'n': '\n', 't': '\t', '"': '"', '\\': '\\'}[raw[i]])
		default:
			b.WriteByte(c)
		}
	}
	return "", "the closing quote is missing"
}

func setUserIDs(s *Secrets, value string) (why string) {
	s.AllowedUserIDs, why = parseUserIDs(value)
	return why
}

// setTelegramAPI takes the base of a server: what the bridge sends there begins with the bot's token.
func setTelegramAPI(s *Secrets, value string) (why string) {
	if value == "" {
		return ""
	}
	if why, _ = checkBaseURL(value); why == "" {
		s.TelegramAPIURL = strings.TrimRight(value, "/")
	}
	return why
}

// parseUserIDs reads numbers between commas or spaces.
func parseUserIDs(value string) ([]int64, string) {
	var ids []int64
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil || id <= 0 || !decimal(word) {
			return nil, fmt.Sprintf("%q is no user id; Telegram ids are whole numbers above 0 (a name can be taken over, a number cannot)", clip(word))
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, ""
}
