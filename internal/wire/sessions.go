package wire

import (
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Conversations, as a terminal asks for them.

// The names of the requests, each with what it takes and what it gives.
const (
	ManageSessionsList      = "sessions.list"      // SessionsList, SessionsPage
	ManageSessionsShow      = "sessions.show"      // SessionsShow, SessionPage: turns to read, cut where they are long
	ManageSessionsExport    = "sessions.export"    // SessionsExport, SessionRows: turns as they are stored
	ManageSessionsTasks     = "sessions.tasks"     // SessionPart, TasksPage: the last one first
	ManageSessionsSummaries = "sessions.summaries" // SessionPart, SummariesPage: the first one first
	ManageSessionsStop      = "sessions.stop"      // SessionsStop, SessionsStopped
)

// SessionsList asks for conversations, the youngest first. Those that work for another one (the iterations
// of its tasks) come only with All, or by the name of that other one.
type SessionsList struct {
	All    bool   `json:"all,omitzero"`
	Parent string `json:"parent,omitzero"`
	Skip   int    `json:"skip,omitzero"`
	Limit  int    `json:"limit,omitzero"` // 0 is 50
}

// SessionsPage is some conversations. Next is what to skip for the next page, 0 when there is none.
type SessionsPage struct {
	Sessions []Session `json:"sessions"`
	Next     int       `json:"next,omitzero"`
}

// Session is one conversation.
type Session struct {
	ID      string    `json:"id"`
	Channel string    `json:"channel"`
	User    string    `json:"user,omitzero"`
	Title   string    `json:"title,omitzero"`
	Created time.Time `json:"created"`
	Turns   int       `json:"turns"`
	// Label is that of all that its model has read, and Label.Sources what that was.
	Label   Label  `json:"label"`
	Running bool   `json:"running,omitzero"`
	Parent  string `json:"parent,omitzero"`
	Task    string `json:"task,omitzero"`
}

// SessionsShow asks for turns behind a number, the oldest first.
type SessionsShow struct {
	ID    string `json:"id"`
	After int    `json:"after,omitzero"`
}

// SessionPage is a conversation and some of its turns. Next is the After of the next page, 0 when there is none.
type SessionPage struct {
	Session Session       `json:"session"`
	Turns   []SessionTurn `json:"turns"`
	Next    int           `json:"next,omitzero"`
}

// SessionTurn is one turn, to be read.
type SessionTurn struct {
	N    int       `json:"n"` // from 1
	At   time.Time `json:"at"`
	Role string    `json:"role"` // "user", "assistant"
	Text string    `json:"text,omitzero"`
	// Notes are what the model was shown beside the text.
	Notes    string       `json:"notes,omitzero"`
	Recalled []int64      `json:"recalled,omitempty"` // ids of the memories that it was shown
	Calls    []ShownCall  `json:"calls,omitempty"`
	Results  []ShownEnded `json:"results,omitempty"`
}

// ShownCall is a call that the model asked for.
type ShownCall struct {
	ID    string `json:"id"`
	Tool  string `json:"tool"`
	Input string `json:"input"` // as the model wrote it
}

// ShownEnded is what came back from a call.
type ShownEnded struct {
	ID      string `json:"id"`
	Tool    string `json:"tool"`
	Status  string `json:"status"`
	Content string `json:"content"`
	Label   Label  `json:"label"`
	Images  int    `json:"images,omitzero"`
}

// SessionsExport asks for stored turns behind a number; Offset is how many bytes of the first one are known already.
type SessionsExport struct {
	ID     string `json:"id"`
	After  int    `json:"after,omitzero"`
	Offset int    `json:"offset,omitzero"`
}

// SessionRows are turns as they are stored. With Cut, the last one goes on.
type SessionRows struct {
	Rows []SessionRow `json:"rows"`
	Cut  bool         `json:"cut,omitzero"`
	More bool         `json:"more,omitzero"`
}

// SessionRow is one turn; Text is its JSON, or a piece of it.
type SessionRow struct {
	N    int       `json:"n"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// SessionPart asks for what belongs to a session; Skip is the Next of the page before.
type SessionPart struct {
	ID   string `json:"id"`
	Skip int    `json:"skip,omitzero"`
}

// TasksPage is some tasks of a session.
type TasksPage struct {
	Tasks []Task `json:"tasks"`
	Next  int    `json:"next,omitzero"`
}

// Task is a request that takes several steps.
type Task struct {
	ID        string     `json:"id"`
	State     string     `json:"state"` // open, done, limit, paused, failed, stopped
	Request   string     `json:"request"`
	Steps     []PlanStep `json:"steps"`
	Iteration int        `json:"iteration"`
	Most      int        `json:"most"`
	Tokens    int64      `json:"tokens"` // spent on it so far
	Usage     Usage      `json:"usage"`
	Notes     []string   `json:"notes,omitempty"` // what the iterations left for the next ones
	Answer    string     `json:"answer,omitzero"`
	Begun     time.Time  `json:"begun,omitzero"`
	Ended     time.Time  `json:"ended,omitzero"`
}

// SummariesPage is some summaries of a session.
type SummariesPage struct {
	Summaries []Summary `json:"summaries"`
	Next      int       `json:"next,omitzero"`
}

// Summary stands for the turns up to a number in what the model reads; the turns themselves are kept.
type Summary struct {
	Upto  int       `json:"upto"`
	At    time.Time `json:"at"`
	Model string    `json:"model,omitzero"`
	Text  string    `json:"text"`
}

// SessionsStop asks to stop what runs and what waits in a session, and its open questions.
type SessionsStop struct {
	ID string `json:"id"`
}

// SessionsStopped says in a sentence what was stopped.
type SessionsStopped struct {
	Said string `json:"said"`
}

// SessionLine is one line of an exported conversation; exactly one field beside Session is set, or Head alone.
type SessionLine struct {
	Head    *Session    `json:"head,omitzero"`
	Session string      `json:"session,omitzero"` // to which the rest belongs
	Task    *Task       `json:"task,omitzero"`
	Summary *Summary    `json:"summary,omitzero"`
	Turn    *StoredTurn `json:"turn,omitzero"`
}

// StoredTurn is a turn as it is stored; pictures are named, their bytes are not in it.
type StoredTurn struct {
	N    int          `json:"n"`
	At   time.Time    `json:"at"`
	Turn strict.Value `json:"turn"`
}
