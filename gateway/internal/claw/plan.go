package claw

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
