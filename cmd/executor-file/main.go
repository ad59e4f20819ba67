// Command executor-file is the program inside the file executor's container: see package executor.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/file"
)

func main() {
	stdin, stdout, err := executor.Seal()
	if err != nil {
		fmt.Fprintf(os.Stderr, "executor-file: %v\n", err)
		os.Exit(1)
	}
	os.Exit(executor.Serve(executor.Options{
		Kind:   "file",
		Stdin:  stdin,
		Stdout: stdout,
		Key:    os.Getenv(executor.KeyVariable),
		Now:    time.Now,
		Ready:  os.Stderr,
		Tools:  file.Tools(),
	}))
}
