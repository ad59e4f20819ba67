package wire

import "time"

// Prompts on a clock, as a terminal asks for them.

// The names of the requests, each with what it takes and what it gives.
const (
	ManageHeartbeatsList   = "heartbeats.list"   // nothing, HeartbeatList
	ManageHeartbeatsShow   = "heartbeats.show"   // HeartbeatShow, HeartbeatShown
	ManageHeartbeatsToggle = "heartbeats.toggle" // HeartbeatToggle, Heartbeat
	ManageHeartbeatsRun    = "heartbeats.run"    // HeartbeatRun, Beat: it runs from now on
	ManageHeartbeatsBeat   = "heartbeats.beat"   // HeartbeatBeat, Beat: with its answer, when that is there
)

// HeartbeatList is all heartbeats, in the order of the configuration.
type HeartbeatList struct {
	Heartbeats []Heartbeat `json:"heartbeats"`
}

// Heartbeat is a prompt on a clock and how it does.
type Heartbeat struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	Words    string `json:"words"` // the schedule in plain words, where there are some
	Timezone string `json:"timezone"`
	Prompt   string `json:"prompt"`
	Missed   string `json:"missed"`
	Enabled  bool   `json:"enabled"`
	// Toggled says that Enabled is a user's word, and not the configuration's.
	Toggled bool      `json:"toggled"`
	Next    time.Time `json:"next,omitzero"` // none while it is off
	Last    []Beat    `json:"last"`          // the newest first
}

// Beat is one run of a heartbeat.
type Beat struct {
	Heartbeat string    `json:"heartbeat"`
	Due       time.Time `json:"due"`
	Manual    bool      `json:"manual,omitzero"` // a user asked for it
	Missed    int       `json:"missed,omitzero"` // earlier times that are not made up for
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Session   string    `json:"session,omitzero"`
	// Outcome is empty while it runs, "skipped", or one of a [Reply].
	Outcome string `json:"outcome,omitzero"`
	Silent  bool   `json:"silent,omitzero"` // nobody was told
	Note    string `json:"note,omitzero"`   // why it was skipped, or how it failed
	Usage   Usage  `json:"usage"`
	// Answer is what it said; only in the answer to a HeartbeatBeat.
	Answer string `json:"answer,omitzero"`
}

// HeartbeatShow asks for one with its last beats.
type HeartbeatShow struct {
	Name  string `json:"name"`
	Limit int    `json:"limit,omitzero"` // 0 is 20
}

// HeartbeatShown is one with its last beats.
type HeartbeatShown struct {
	Heartbeat Heartbeat `json:"heartbeat"`
}

// HeartbeatToggle turns one on or off, for good.
type HeartbeatToggle struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
}

// HeartbeatRun lets one beat now.
type HeartbeatRun struct {
	Name string `json:"name"`
}

// HeartbeatBeat asks how a beat does.
type HeartbeatBeat struct {
	Name    string `json:"name"`
	Session string `json:"session"`
}
