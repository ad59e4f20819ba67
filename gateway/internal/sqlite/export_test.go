package sqlite

// DueQuery is the query of DueItems, for a look at its plan.
const DueQuery = dueItems

// The queries about spending, for the same.
const (
	UsageSinceQuery = usageSince
	UsageAfterQuery = usageAfter
	TaskOfClause    = taskOf
)
