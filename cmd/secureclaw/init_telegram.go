package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/config"
)

// botChoice is the bot and who may talk to it; the first of Users is the owner.
type botChoice struct {
	Token   config.Secret
	Users   []int64
	account telegram.Account // the zero one was not looked up
}

// errSkipped ends the wait for a person who does not come.
var errSkipped = errors.New("skipped")

// codeBytes are 144 random bits: whoever guesses the code while somebody pairs would own the agent.
const codeBytes = 18

func pairingCode() string {
	code := make([]byte, codeBytes)
	_, _ = rand.Read(code) // never fails
	return base64.RawURLEncoding.EncodeToString(code)
}

// askTelegram is the second question.
func (s *setup) askTelegram(ctx context.Context) error {
	fmt.Fprintln(s.out, "\nTelegram: talk to the agent from your phone. @BotFather there makes bots: /newbot")
	for {
		question := "Token of the bot, not shown while you type [skip]"
		if s.bot.Token != "" {
			question = fmt.Sprintf("Token of the bot, not shown while you type [keep %s]", s.bot.Token.Hint())
		}
		typed, err := s.term.hidden(ctx, question)
		if err != nil {
			return err
		}
		before := s.bot
		if typed != "" {
			s.bot.Token = config.Secret(typed)
		}
		if s.bot.Token == "" {
			return nil
		}
		if !s.check {
			fmt.Fprintln(s.out, "  Not checked, so nobody can be paired now: run secureclaw init again for that.")
			return nil
		}
		failed := s.checkBot(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failed == nil {
			return s.pairAll(ctx)
		}
		s.complain(failed)
		answer, err := s.term.chooseUnseen(ctx, "Enter it [a]gain, [c]ontinue without the check, or [s]kip Telegram", "a", "c", "s")
		switch {
		case err != nil:
			return err
		case answer == "c":
			return nil
		}
		s.bot = before
		if answer == "s" {
			return nil
		}
	}
}

// checkBot asks Telegram whose token it is.
func (s *setup) checkBot(ctx context.Context) error {
	me, err := telegram.Me(ctx, s.now.TelegramAPIURL, s.bot.Token.Reveal())
	if err != nil {
		return s.withoutToken(err)
	}
	s.bot.account = me
	fmt.Fprintf(s.out, "  this is @%s (%s)\n", visibleLine(me.Username), shortName(me.Name))
	return nil
}

// pairAll pairs as many people as are wanted.
func (s *setup) pairAll(ctx context.Context) error {
	for {
		question := "Pair your Telegram account now?"
		if len(s.bot.Users) > 0 {
			fmt.Fprintf(s.out, "  paired: %s\n", userList(s.bot.Users))
			question = "Pair another account?"
		}
		again, err := s.term.yes(ctx, question, len(s.bot.Users) == 0)
		if err != nil || !again {
			return err
		}
		if ok, err := s.pollable(ctx); err != nil || !ok {
			return err
		}
		if err := s.pair(ctx); err != nil {
			return err
		}
		if len(s.bot.Users) == 0 {
			return nil // skipped
		}
	}
}

// pollable sees to it that nobody else asks Telegram for this bot's messages: Telegram answers one at
// a time, and our own bridge would take the code for a stranger's message.
func (s *setup) pollable(ctx context.Context) (bool, error) {
	for s.was.TelegramBotToken == s.bot.Token && s.gatewayRuns(ctx) {
		fmt.Fprint(s.out, "  error: SecureClaw is running and receives this bot's messages\n",
			"    why  Telegram gives them to one program at a time, so the pairing would not see yours\n",
			"    fix  stop it (Ctrl-C where `secureclaw up` runs, or stop its service)\n")
		answer, err := s.term.choose(ctx, "Look [a]gain, or [s]kip the pairing", "a", "s")
		if err != nil || answer == "s" {
			return false, err
		}
	}
	return true, context.Cause(ctx)
}

// pair shows link and code, and waits for the person who sends it.
func (s *setup) pair(ctx context.Context) error {
	code := pairingCode()
	link := fmt.Sprintf("https://t.me/%s?start=%s", s.bot.account.Username, code)
	fmt.Fprintf(s.out, "\nOpen this on your phone or here, and press Start there:\n\n  %s\n\n", visibleLine(link))
	if !drawQR(s.screen, link, os.Getenv) {
		fmt.Fprintln(s.out, "  (no QR code: this terminal is too small for it, or shows no colours)")
	}
	fmt.Fprintln(s.out, "\nWaiting for you there. Enter or Ctrl-C skips.")

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.skip.set(func() { cancel(errSkipped) })
	defer s.skip.set(nil)
	questions := make(chan telegram.User)
	answers := make(chan bool)
	done := make(chan error, 1)
	var found telegram.User
	go func() {
		var err error
		found, err = telegram.Pair(ctx, s.now.TelegramAPIURL, s.bot.Token.Reveal(), code, func(u telegram.User) bool {
			select {
			case questions <- u:
				return <-answers
			case <-ctx.Done():
				return false
			}
		})
		done <- err
	}()
	err := s.moderate(ctx, cancel, questions, answers, done)
	switch {
	case errors.Is(err, errSkipped):
		if text := strings.TrimPrefix(err.Error(), errSkipped.Error()); text != "" {
			fmt.Fprintf(s.out, "  error: nobody could be paired%s\n", visibleLine(s.withoutToken(errors.New(text)).Error()))
		}
		fmt.Fprintln(s.out, "  skipped: nobody was paired")
		return nil
	case err != nil && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		s.complain(s.withoutToken(err))
		return nil
	}
	if slices.Contains(s.bot.Users, found.ID) {
		fmt.Fprintf(s.out, "  %s was paired already\n", person(found))
		return nil
	}
	s.bot.Users = append(slices.Clip(s.bot.Users), found.ID)
	fmt.Fprintf(s.out, "  paired %s\n", person(found))
	return nil
}

// moderate waits for Pair and for Enter at once, and puts Pair's questions to the terminal. It
// returns when Pair has.
func (s *setup) moderate(ctx context.Context, cancel context.CancelCauseFunc, questions <-chan telegram.User, answers chan<- bool, done <-chan error) error {
	for {
		waiting, stop := context.WithCancel(ctx)
		enter := make(chan error, 1)
		go func() { enter <- s.term.wait(waiting) }()
		select {
		case err := <-done:
			stop()
			<-enter
			return err
		case err := <-enter: // a line is there, or ctx ended
			stop()
			if err == nil {
				_, err = s.term.line(ctx)
			} else {
				fmt.Fprintln(s.out) // behind ^C
			}
			if err == nil {
				err = errSkipped
			}
			cancel(err)
			return <-done
		case u := <-questions:
			stop()
			<-enter
			yes, err := s.askPair(ctx, u)
			answers <- yes
			if err != nil {
				cancel(err)
				return <-done
			}
		}
	}
}

// askPair lets the one at the terminal say whether it was him. An Enter that was meant to skip must
// not let somebody in, so what is typed before the question, and at once after it, does not count.
func (s *setup) askPair(ctx context.Context, u telegram.User) (bool, error) {
	for {
		s.term.forget()
		began := time.Now()
		yes, err := s.term.yes(ctx, fmt.Sprintf("Pair %s?", person(u)), true)
		if err != nil || !yes || time.Since(began) >= hasty {
			return yes, err
		}
		fmt.Fprintln(s.out, "  (this question came up just now: read it, then answer)")
	}
}

// withoutToken takes the token out of an error's words, should it be in them.
func (s *setup) withoutToken(err error) error {
	text := strings.ReplaceAll(err.Error(), s.bot.Token.Reveal(), "…")
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func person(u telegram.User) string {
	name := shortName(u.Name)
	if u.Username != "" {
		name += " @" + visibleLine(u.Username)
	}
	return fmt.Sprintf("%s (id %d)", name, u.ID)
}

// shortName makes a name that somebody gave himself fit for a question.
func shortName(name string) string {
	const most = 64
	if r := []rune(name); len(r) > most {
		name = string(r[:most]) + "…"
	}
	return visibleLine(name)
}

func userList(ids []int64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		if words[i] = fmt.Sprint(id); i == 0 {
			words[i] += " (owner)"
		}
	}
	return strings.Join(words, ", ")
}
