package claw

import (
	"errors"
	"time"
)

// HeartbeatChannel is the channel of what a clock set in motion; the user of its origin is the heartbeat's name.
const HeartbeatChannel Channel = "heartbeat"

// SilentAnswer is the answer of a heartbeat that has nothing to tell.
const SilentAnswer = "[SILENT]"

// ErrBeaten is a beat whose message was answered long ago.
var ErrBeaten = errors.New("this beat was answered already")

// Heartbeat is a prompt on a clock and how it does.
type Heartbeat struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`       // five cron fields
	Words    string `json:"words,omitzero"` // the schedule, in plain words where there are some
	Timezone string `json:"timezone"`
	Prompt   string `json:"prompt"`
	// Missed says what becomes of beats whose time passed while nothing ran: "once" or "skip".
	Missed  string `json:"missed"`
	Enabled bool   `json:"enabled"`
	// Toggled says that Enabled is a user's word, and not the configuration's.
	Toggled bool      `json:"toggled,omitzero"`
	Next    time.Time `json:"next,omitzero"`
	Last    []Beat    `json:"last,omitempty"` // the newest first
}

// Skipped is the outcome of a beat that was not let run.
const Skipped = "skipped"

// Beat is one run of a heartbeat.
type Beat struct {
	Heartbeat string    `json:"heartbeat"`
	Due       time.Time `json:"due"`
	// Manual says that a user asked for it now.
	Manual bool `json:"manual,omitzero"`
	// Missed is how many earlier times passed while nothing ran, and are not made up for.
	Missed  int       `json:"missed,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Session SessionID `json:"session,omitzero"`
	// Outcome is empty while it runs; an agent's outcome, or [Skipped].
	Outcome string `json:"outcome,omitzero"`
	// Silent says that it had nothing to tell.
	Silent bool   `json:"silent,omitzero"`
	Note   string `json:"note,omitzero"` // why it was skipped or failed
	Usage  Usage  `json:"usage"`
}
