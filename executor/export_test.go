package executor

// The two ways to walk a path, for the test that they agree.
var (
	OpenBeneath = openBeneath
	WalkBeneath = walkBeneath
)

// Await is what runs beside the wait for the task.
func Await(o Options) { o.prepare(make(chan struct{})) }
