//go:build race

package outbox_test

// slow is by how much the longest test is shortened: the race detector makes SQLite, which is Go
// here, ten times slower.
const slow = 10
