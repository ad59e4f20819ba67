package main

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// toPairing goes as far as the question whether to pair.
func toPairing(d *seat) {
	d.t.Helper()
	d.answers("Number", "1")
	d.answers("Token of the bot", initToken)
	d.answers("Pair your Telegram account now? [Y/n]", "")
}

// rest takes the defaults after Telegram and writes.
func rest(d *seat) {
	d.t.Helper()
	d.answers("Folder [", "")
	d.answers("[Y/n]", "")
	d.answers("Write?", "")
	d.sees("next:")
	if code := d.ends(); code != 0 {
		d.t.Errorf("exit %d", code)
	}
}

func TestInitPairingIsSkipped(t *testing.T) {
	for name, key := range map[string]string{"Enter": "\n", "Ctrl-C": "\x03"} {
		t.Run(name, func(t *testing.T) {
			tg := fake.NewTelegram(t, initToken)
			home := t.TempDir()
			d := sit(t, home, []string{"TELEGRAM_API_URL=" + tg.URL()})
			toPairing(d)
			code := d.code()
			d.types(key)
			d.sees("skipped: nobody was paired")
			tg.Say(123, "/start "+code) // too late
			rest(d)
			if !strings.Contains(d.shown(), "answers nobody until you pair") {
				t.Error("it does not say that nobody is paired")
			}
			if env := contents(t, at(home, ".env")); !strings.Contains(env, initToken) || strings.Contains(env, config.EnvAllowedUsers) {
				t.Errorf(".env = %q", env)
			}
		})
	}
	t.Run("Ctrl-C at the person", func(t *testing.T) {
		tg := fake.NewTelegram(t, initToken)
		home := t.TempDir()
		d := sit(t, home, []string{"TELEGRAM_API_URL=" + tg.URL()})
		toPairing(d)
		tg.SayAs(fake.UserMessage{From: 123, FirstName: "Anna", Text: "/start " + d.code()})
		d.sees("Pair Anna (id 123)? [Y/n]")
		d.types("\x03")
		d.sees("skipped: nobody was paired")
		d.sees("Folder [")
		d.types("\x03")
		d.sees("interrupted; nothing was written")
		if code := d.ends(); code != exitFailed {
			t.Errorf("exit %d", code)
		}
		untouched(t, home)
	})
	t.Run("Enter by accident lets nobody in", func(t *testing.T) {
		tg := fake.NewTelegram(t, initToken)
		d := sit(t, t.TempDir(), []string{"TELEGRAM_API_URL=" + tg.URL()})
		toPairing(d)
		tg.SayAs(fake.UserMessage{From: 123, FirstName: "Anna", Text: "/start " + d.code()})
		d.sees("Pair Anna (id 123)? [Y/n]")
		d.types("\n")
		d.sees("came up just now")
		d.answers("Pair Anna (id 123)? [Y/n]", "n")
		d.types("\n")
		d.sees("skipped")
	})
}

// Another program has the bot: what Telegram says of it is told, and nobody is paired.
func TestInitConflict(t *testing.T) {
	tg := fake.NewTelegram(t, initToken)
	tg.Fault("getUpdates", fake.TelegramFault{Status: 409, Description: "Conflict: terminated by other getUpdates request", Repeat: -1})
	d := sit(t, t.TempDir(), []string{"TELEGRAM_API_URL=" + tg.URL()})
	toPairing(d)
	d.code()
	// Who asks a second time has read the answer to the first.
	if err := tg.Await(t.Context(), func(tg *fake.Telegram) bool { return len(tg.Calls("getUpdates")) > 1 }); err != nil {
		t.Fatal(err)
	}
	d.types("\n")
	d.sees("nobody could be paired", "409")
	d.sees("skipped")
	rest(d)
}

// A token that Telegram forgets in the middle ends the pairing with its reason.
func TestInitTokenExpires(t *testing.T) {
	tg := fake.NewTelegram(t, initToken)
	tg.Fault("getUpdates", fake.TelegramFault{Status: 401, Description: "Unauthorized", Repeat: -1})
	d := sit(t, t.TempDir(), []string{"TELEGRAM_API_URL=" + tg.URL()})
	toPairing(d)
	d.sees("token (401)")
	rest(d)
	d.never(initToken)
}

// Our own bridge polls with this token: it must stop before anybody is paired.
func TestInitWhileRunning(t *testing.T) {
	tg := fake.NewTelegram(t, initToken)
	home := t.TempDir()
	env := []string{"TELEGRAM_API_URL=" + tg.URL()}
	if _, stderr, code := clawEnv(t, home, append(env, "TELEGRAM_BOT_TOKEN="+initToken), "init", "--non-interactive"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	dirs, err := config.Home(home, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	ln, err := wire.Listen(at(dirs.Runtime, gatewaySocket), wire.Hello{Role: "gateway", Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			pending, err := ln.Accept()
			if err != nil {
				return
			}
			if conn, err := pending.Handshake(); err == nil {
				_ = conn.Close()
			}
		}
	}()
	d := sit(t, home, env)
	d.sees("SecureClaw is running")
	d.answers("Number", "1")
	d.answers("[keep …1234]", "")
	d.answers("Pair your Telegram account now? [Y/n]", "")
	d.sees("error: SecureClaw is running and receives", "fix")
	d.answers("[s]kip the pairing [a]", "a")
	d.sees("error: SecureClaw is running and receives")
	if polls := tg.Calls("getUpdates"); len(polls) > 0 {
		t.Errorf("polled while the bridge does: %v", polls)
	}
	_ = ln.Close()
	d.answers("[s]kip the pairing [a]", "a")
	tg.SayAs(fake.UserMessage{From: 123, FirstName: "Anna", Text: "/start " + d.code()})
	d.pairs("Pair Anna (id 123)?")
	d.answers("Pair another account?", "")
	rest(d)
}
