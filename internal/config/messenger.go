package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
)

// botToken is what @BotFather gives: the bot's id and a secret.
var botToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)

// Warnings says what of the secrets is allowed and does not do what one expects. envFile is where they stand.
func (s Secrets) Warnings(envFile string) []Warning {
	var out []Warning
	warn := func(key, format string, args ...any) {
		out = append(out, Warning{Problem{File: envFile, Key: key, Message: key + ": " + fmt.Sprintf(format, args...)}})
	}
	if s.TelegramBotToken == "" {
		return nil
	}
	if !botToken.MatchString(s.TelegramBotToken.Reveal()) {
		warn(EnvTelegramToken, "this is no token, so the bot cannot work; it looks like 123456789:AAE…, as @BotFather wrote it; to fix it: secureclaw init")
	}
	if len(s.AllowedUserIDs) == 0 {
		warn(EnvAllowedUsers, "a Telegram bot is set up and nobody is paired with it, so it answers nobody; to fix it: secureclaw init")
	}
	if u, err := url.Parse(s.TelegramAPIURL); err == nil && u.Scheme == "http" {
		if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
			warn(envTelegramAPI, "the token and all messages would cross the network unencrypted; use https")
		}
	}
	return out
}
