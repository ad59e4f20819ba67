package executor

// The two ways to walk a path, for the test that they agree.
var (
	OpenBeneath = openBeneath
	WalkBeneath = walkBeneath
)
