package main

import (
	"os"
	"testing"
)

// What starting needed is given back, and the program goes on.
func TestLean(t *testing.T) {
	before := resident(os.Getpid())
	lean()
	after := resident(os.Getpid())
	if after > before-2 {
		t.Errorf("resident %.1f MB, then %.1f MB: want at least 2 MB less", before, after)
	}
}
