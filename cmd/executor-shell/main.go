// Command executor-shell is the program inside the shell executor's container: see package executor.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/shell"
)

func main() {
	stdin, stdout, err := executor.Seal()
	if err != nil {
		fmt.Fprintf(os.Stderr, "executor-shell: %v\n", err)
		os.Exit(1)
	}
	os.Exit(executor.Serve(executor.Options{
		Kind:   "shell",
		Stdin:  stdin,
		Stdout: stdout,
		Key:    os.Getenv(executor.KeyVariable),
		Now:    time.Now,
		Ready:  os.Stderr,
		Tools:  shell.Tools(),
	}))
}
