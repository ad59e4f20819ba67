package claw

import "time"

// Plan is what a task is to do, step by step.
type Plan struct {
	Steps []PlanStep `json:"steps"`
}

// PlanStep is one step of a plan, in the model's words.
type PlanStep struct {
	Text  string    `json:"text"`
	State StepState `json:"state"`
}

// StepState is where a step stands. The zero state is open.
type StepState string

// The states of a step.
const (
	StepOpen StepState = ""
	StepNow  StepState = "now"
	StepDone StepState = "done" // the model says so; nobody checked
)

// Progress is how far a task is, for whoever looks on.
type Progress struct {
	Task      string     `json:"task"`
	Steps     []PlanStep `json:"steps"`
	Iteration int        `json:"iteration"` // from 1; 0 while it is planned
	Most      int        `json:"most"`      // iterations
}

// Task is a request that takes several steps: its plan, and how far it is. Each iteration is a session of its own.
type Task struct {
	ID      string    `json:"id"`
	Session SessionID `json:"session"` // where it was asked for, and where its answer goes
	Channel Channel   `json:"channel"`
	Message string    `json:"message"` // the message that it answers now; a later one can go on with it
	Request string    `json:"request"` // the words of the first one
	// Below is what stood below them, see [Turn.Notes].
	Below string    `json:"below,omitzero"`
	State TaskState `json:"state"`
	Plan  Plan      `json:"plan"`
	// Notes are what the iterations left for the next ones, in the model's words; nobody checked them.
	Notes     []string `json:"notes,omitempty"`
	Iteration int      `json:"iteration"` // the last one that was begun, from 1
	Most      int      `json:"most"`      // iterations; ten more each time that the user says to go on
	// Grants is how often the task was given its tokens: once, and once more each time it goes on.
	Grants int `json:"grants"`
	// Child is the session of the iteration that is not noted yet, empty between two.
	Child SessionID `json:"child,omitzero"`
	// Usage is all that was spent on it; Planning is the part of its plan, and Before what of it an earlier answer told of.
	Usage    Usage          `json:"usage"`
	Planning Usage          `json:"planning"`
	Before   Usage          `json:"before"`
	Counts   map[Status]int `json:"counts,omitempty"` // its calls, by how they ended
	Answer   string         `json:"answer,omitzero"`  // once it is at its end
	Begun    time.Time      `json:"begun"`
	Ended    time.Time      `json:"ended,omitzero"`
}

// TaskState is where a task stands. The zero state is that it is open.
type TaskState string

// The states of a task. A task that is limited, paused or failed goes on when the user says so.
const (
	TaskOpen    TaskState = ""
	TaskDone    TaskState = "done"
	TaskLimited TaskState = "limit"
	TaskPaused  TaskState = "paused"
	TaskFailed  TaskState = "failed"
	TaskStopped TaskState = "stopped"
)

// The words by which the gateway and a model speak of a plan. Each stands on a line of its own.
const (
	PlanAsked  = "[planning]"  // begins the question for a plan
	PlanNone   = "NO PLAN"     // the answer that none is needed
	TaskAsked  = "[iteration]" // begins what an iteration is told below its request
	TaskGoesOn = "[CONTINUE]"  // ends an answer after which there is more to do
)
