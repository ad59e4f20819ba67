package wire

import "time"

// What was spent, as a terminal asks for it.

// ManageUsageSum adds up tokens: [UsageSum] is answered with [UsageTable].
const ManageUsageSum = "usage.sum"

// What a [UsageSum] may be told apart by.
const (
	UsageByDay       = "day" // from midnight to midnight of the gateway's clock
	UsageBySession   = "session"
	UsageByHeartbeat = "heartbeat"
	UsageByTask      = "task"
	UsageByModel     = "model"
)

// UsageSum asks for what was spent in the last days, today included.
type UsageSum struct {
	By    string `json:"by,omitzero"`    // empty is by day
	Days  int    `json:"days,omitzero"`  // 0 is 30
	Limit int    `json:"limit,omitzero"` // rows; 0 is 100
}

// UsageTable is what was spent. Days come with the newest first and without those on which nothing was
// spent; other rows with the most expensive first.
type UsageTable struct {
	By    string     `json:"by"`
	Since time.Time  `json:"since"` // the midnight from which on it counts
	Rows  []UsageRow `json:"rows"`
	// More is how many rows there are beyond the limit. Total counts them too; by heartbeat and by task it
	// counts only what those spent.
	More  int      `json:"more,omitzero"`
	Total UsageRow `json:"total"`
	// Today is how many tokens were spent since midnight, whatever By says, and TodayMost how many may be; 0 is no limit.
	Today     int64 `json:"today"`
	TodayMost int64 `json:"today_most,omitzero"`
}

// UsageRow is what was spent under one name. Tokens is the sum of all four counts: it is what limits count.
type UsageRow struct {
	Name   string    `json:"name,omitzero"`  // a day like 2026-11-23, an id, a name, a model
	About  string    `json:"about,omitzero"` // of a session its title, of a task its request
	Last   time.Time `json:"last,omitzero"`
	Calls  int64     `json:"calls"` // questions to the model
	Tokens int64     `json:"tokens"`
	Usage  Usage     `json:"usage"`
}
