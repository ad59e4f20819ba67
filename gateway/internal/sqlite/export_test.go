package sqlite

// DueQuery is the query of DueItems, for a look at its plan.
const DueQuery = dueItems
