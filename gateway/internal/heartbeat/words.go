package heartbeat

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// message is what a beat says. Text is the prompt, in its author's words; what we add stands in Notes.
// The same beat makes the same message, for it may be handed over more than once.
func message(h beating, b claw.Beat) claw.Message {
	return claw.Message{
		ID: string(b.Session), Session: b.Session, Text: h.Prompt, Notes: notes(h, b),
		Origin: claw.Origin{Channel: claw.HeartbeatChannel, User: h.Name}, Label: claw.UserLabel(), At: b.Started,
	}
}

// notes tell the model what it is asked by, and that it may be silent.
func notes(h beating, b claw.Beat) string {
	due := b.Due.In(h.cron.Location()).Format("Monday 2006-01-02 15:04") + " (" + h.Timezone + ")"
	var text strings.Builder
	fmt.Fprintf(&text, "heartbeat %q: ", h.Name)
	late := b.Started.Sub(b.Due)
	switch {
	case b.Manual:
		fmt.Fprintf(&text, "the user asked for it at this moment, %s.", due)
	case late > grace:
		fmt.Fprintf(&text, "this prompt comes by a clock. It was due on %s; now it is %s later, because this computer was off or asleep.", due, age(late))
	default:
		fmt.Fprintf(&text, "this prompt comes by a clock, due on %s.", due)
	}
	switch {
	case b.Missed == 1:
		text.WriteString(" The time before it was missed too; it is not made up for.")
	case b.Missed > 1:
		fmt.Fprintf(&text, " %s earlier times were missed too; they are not made up for.", number(b.Missed))
	}
	fmt.Fprintf(&text, " Nobody sits in front of it: your answer is sent as a message. If there is nothing worth telling, answer exactly %s; nothing is sent.", claw.SilentAnswer)
	return "[" + text.String() + "]"
}

// age is a duration in the two units that matter.
func age(d time.Duration) string {
	minutes := int(d / time.Minute)
	switch {
	case minutes >= 24*60:
		return fmt.Sprintf("%d d %d h", minutes/(24*60), minutes/60%24)
	case minutes >= 60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%d min", minutes)
}

// told is what an answer tells: nothing when it is the silent one, or when nothing but marks is left
// without it.
func told(text string) string {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, claw.SilentAnswer) {
		return text
	}
	text = strings.TrimSpace(strings.ReplaceAll(text, claw.SilentAnswer, ""))
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.So, r) }) {
		return ""
	}
	return text
}

// reason is the first line of a text, for a list.
func reason(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 300 {
		line = strings.ToValidUTF8(line[:300], "") + "…"
	}
	return line
}
