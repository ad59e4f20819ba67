package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// maxKept is the most bytes of one picture that is kept.
const maxKept = 2 << 20

// Keep puts a picture that a call brought into the inbox, under a name of its own: name is
// "screenshot-example.com.png", and the file is "2026-11-22/screenshot-example.com-153012.png". It
// returns where executors see it, and tells a user in a terminal where it lies on his computer. An
// error says in words why there is no file.
func (b *Board) Keep(_ context.Context, call gate.Call, name, mime string, data []byte) (string, error) {
	in := b.o.Inbox
	if in.Host == "" {
		return "", errors.New("no folder is shared as the inbox, so there is no file of it")
	}
	b.keeping.Lock()
	defer b.keeping.Unlock()
	file, err := in.keep(b.o.Now(), name, mime, data)
	if err != nil {
		return "", fmt.Errorf("it could not be kept as a file: %w", err)
	}
	if !isMessenger(call.Origin.Channel) {
		b.all(wire.Down{Notice: &wire.Notice{Session: string(call.Session), Text: "saved " + filepath.Join(in.Host, filepath.FromSlash(file))}})
	}
	return path.Join(in.Container, file), nil
}

// keep writes a whole file, which nobody sees before it is whole. Only one goroutine may keep at a time.
func (in Inbox) keep(now time.Time, name, mime string, data []byte) (_ string, err error) {
	ending := map[string]string{"image/png": ".png", "image/jpeg": ".jpg"}[mime]
	switch {
	case ending == "":
		return "", fmt.Errorf("%.40q is no type of picture that is kept", mime)
	case len(data) == 0 || len(data) > maxKept:
		return "", fmt.Errorf("it has %s, and the most is %s", amount(int64(len(data))), amount(maxKept))
	}
	if err := os.MkdirAll(in.Host, 0o755); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(in.Host) // a link in the folder leads nowhere else
	if err != nil {
		return "", err
	}
	defer root.Close()
	used, err := usage(root)
	if err != nil {
		return "", err
	}
	if quota := cmp.Or(in.Quota, DefaultQuota); used+int64(len(data)) > quota {
		return "", fmt.Errorf("the inbox is full: it holds %s of %s; delete files in %s", amount(used), amount(quota), in.Host)
	}
	temp := unfinished + rand.Text()
	defer func() {
		if err != nil {
			_ = root.Remove(temp) // if it stays, the next start removes it
		}
	}()
	if err := writeWhole(root, temp, data); err != nil {
		return "", err
	}
	day := now.Format("2006-01-02")
	if err := root.Mkdir(day, 0o755); err == nil {
		err = root.Chmod(day, 0o755) // executors are another user
		if err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	stem := strings.TrimSuffix(fileName(name), path.Ext(fileName(name))) + "-" + now.Format("150405")
	file, err := free(root, day+"/"+stem, ending)
	if err != nil {
		return "", err
	}
	if err := root.Rename(temp, file); err != nil {
		return "", err
	}
	return file, syncFolder(root)
}

// writeWhole writes a file that is on disk when it returns.
func writeWhole(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

// free is a name that nothing has yet.
func free(root *os.Root, stem, ending string) (string, error) {
	for n := 1; n < 1000; n++ {
		name := stem + ending
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", stem, n, ending)
		}
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", errors.New("too many files have its name")
}
