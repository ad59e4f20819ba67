//go:build !race

package outbox_test

const slow = 1
