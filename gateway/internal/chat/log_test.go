package chat_test

import (
	"log/slog"
	"testing"
)

// testLog shows log lines with the test that made them.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
