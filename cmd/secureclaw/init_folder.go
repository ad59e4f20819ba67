package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/config"
)

// folderChoice is the folder to share. Share.Host is as the file is to write it.
type folderChoice struct {
	Share config.Share
	abs   string
	make  bool // it does not exist yet
}

// askFolder is the third question.
func (s *setup) askFolder(ctx context.Context) error {
	fmt.Fprintln(s.out, "\nOne folder that the agent's tools may see. They see nothing else of yours.")
	for {
		typed, err := s.term.ask(ctx, "Folder", s.folder.abs)
		if err != nil {
			return err
		}
		if typed == "" {
			return nil // there is none, and none is wanted
		}
		share := s.folder.Share
		if typed != s.folder.abs {
			share.Host = fromHere(typed)
		}
		byDefault := share.Mode == "rw"
		share.Mode = "ro"
		if _, err := s.resolveFolder(share); err != nil { // not even to read
			s.complain(err)
			continue
		}
		rw, err := s.term.yes(ctx, "May they change files in it, as your rules say?", byDefault)
		if err != nil {
			return err
		}
		if rw {
			share.Mode = "rw"
		}
		chosen, err := s.resolveFolder(share)
		if err != nil {
			s.complain(err)
			continue
		}
		danger := folderDanger(chosen.abs, os.Getenv("HOME"))
		question := fmt.Sprintf("%s does not exist yet. Make it?", visibleLine(chosen.abs))
		if danger != "" {
			fmt.Fprintf(s.out, "  warning: %s\n", visibleLine(danger))
			question = "Share it all the same?"
		}
		if danger != "" || chosen.make && chosen.abs != s.workspace() {
			yes, err := s.term.yes(ctx, question, danger == "")
			if err != nil {
				return err
			}
			if !yes {
				continue
			}
		}
		s.folder = chosen
		return nil
	}
}

// fromHere is a path as typed in a shell: relative to the current folder, where the configuration's
// would be relative to SecureClaw's home.
func fromHere(path string) string {
	if path == "~" || strings.HasPrefix(path, "~") || filepath.IsAbs(path) {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// workspace is the folder that a first run makes by itself.
func (s *setup) workspace() string { return filepath.Join(s.dirs.Home, "workspace") }

// resolveFolder says where a share is, or why it cannot be.
func (s *setup) resolveFolder(share config.Share) (folderChoice, error) {
	abs, err := s.cfg.CheckShare(share, s.dirs, os.Getenv("HOME"))
	if err != nil {
		return folderChoice{}, err
	}
	f := folderChoice{Share: share, abs: abs}
	switch _, err := os.Stat(abs); {
	case errors.Is(err, fs.ErrNotExist):
		f.make = true
	case err != nil:
		return folderChoice{}, err
	}
	return f, nil
}

// secretFolders are names of folders in which programs keep keys, cookies and mail.
var secretFolders = []string{".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".mozilla", ".thunderbird", ".pki", ".config", ".local"}

// folderDanger says what is wrong with sharing a folder that may be shared, or "".
func folderDanger(abs, home string) string {
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	if home != "" && (abs == home || strings.HasPrefix(home, strings.TrimSuffix(abs, "/")+"/")) {
		return abs + " holds your whole home folder: keys, mail and browser profiles with it"
	}
	for part := range strings.SplitSeq(abs, "/") {
		if slices.Contains(secretFolders, part) {
			return abs + " lies in " + part + ", where programs keep secrets"
		}
	}
	var inside []string
	entries, _ := os.ReadDir(abs) // what cannot be listed warns of nothing
	for _, e := range entries {
		if slices.Contains(secretFolders, e.Name()) {
			inside = append(inside, e.Name())
		}
	}
	if len(inside) > 0 {
		return abs + " holds " + strings.Join(inside, ", ") + ", where programs keep secrets; commands that you approve would see them"
	}
	return ""
}
