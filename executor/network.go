package executor

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// networkFolder is where the kernel, and gVisor, show the network of whoever looks.
const networkFolder = "/proc/net"

// lonely refuses a network that leads out of this container: an engine may have ignored that none was asked
// for. dir is [networkFolder]. An interface leads somewhere once it has a route or an IPv6 address; those
// that only exist, as a kernel with tunnel modules makes them in each new namespace, do not. What cannot
// be read is refused as well.
func lonely(dir string) error {
	for _, table := range []struct {
		file   string
		column int // of the interface's name
		header bool
		absent bool // where there is no IPv6, there is no such table
	}{
		{"route", 0, true, false},
		{"if_inet6", 5, false, true},
	} {
		name, err := leadsOut(filepath.Join(dir, table.file), table.column, table.header)
		switch {
		case table.absent && errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("whether this container has a network cannot be seen: %w", err)
		case name != "":
			return fmt.Errorf("this container has a network (%.20q), and must have none", name)
		}
	}
	return nil
}

// leadsOut is the first interface of a table that is not the loopback, "" when there is none.
func leadsOut(path string, column int, header bool) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if header && !lines.Scan() {
		return "", errors.Join(lines.Err(), fmt.Errorf("%s is empty", path))
	}
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) <= column {
			return "", fmt.Errorf("%s has a line of %d columns", path, len(fields))
		}
		if fields[column] != "lo" {
			return fields[column], nil
		}
	}
	return "", lines.Err()
}
