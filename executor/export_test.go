package executor

// The two ways to walk a path, for the test that they agree.
var (
	OpenBeneath = openBeneath
	WalkBeneath = walkBeneath
)

// Await is what runs beside the wait for the task.
func Await(o Options) { o.prepare(newWait()) }

// AwaitUntil is Await; end is what the coming of the task does.
func AwaitUntil(o Options) (await, end func()) {
	w := newWait()
	return func() { o.prepare(w) }, w.end
}
