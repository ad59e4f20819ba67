package chat

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// Inbox is the folder into which files are written that users send. Executors see it as a mount.
type Inbox struct {
	Host      string // empty: files cannot be sent
	Container string // where executors see it
	Quota     int64  // most bytes of all files in it; zero is DefaultQuota
}

// DefaultQuota is how much an inbox holds.
const DefaultQuota = 1 << 30

const (
	maxUploads = 8          // files that come at once
	unfinished = ".coming-" // how the name of a file begins that is not whole yet
)

// uploads are the files that one bridge is sending. Only the bridge's reader uses them.
type uploads struct {
	inbox Inbox
	now   func() time.Time
	open  map[string]*upload // by message and name
	mimes map[string]string  // of whole files whose message did not come yet
}

// upload is one file that is not whole yet.
type upload struct {
	root *os.Root
	file *os.File
	temp string
	size int64
	have int64
}

// fault is a refusal of one piece; the file is dropped.
type fault struct{ code, what, fix string }

func (f *fault) Error() string { return f.what }

// faultOf is a refusal as a frame.
func faultOf(ref string, err error) *wire.Fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return &wire.Fault{Ref: ref, Code: f.code, What: f.what, Fix: f.fix}
	}
	return &wire.Fault{Ref: ref, Code: "inbox", What: err.Error()}
}

func newUploads(inbox Inbox, now func() time.Time) *uploads {
	inbox.Quota = cmp.Or(inbox.Quota, DefaultQuota)
	return &uploads{inbox: inbox, now: now, open: map[string]*upload{}, mimes: map[string]string{}}
}

// clean removes what an earlier life left half-way.
func (in Inbox) clean() error {
	if in.Host == "" {
		return nil
	}
	root, err := os.OpenRoot(in.Host)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			err = errors.Join(err, root.Remove(e.Name()))
		}
	}
	return err
}

// take writes one piece. The last one puts the file in its place.
func (u *uploads) take(in wire.FilePart) error {
	key := in.Message + "\x00" + in.Name
	up := u.open[key]
	err := u.check(in, up)
	if err == nil && in.Offset == 0 {
		u.drop(key)
		if up, err = u.begin(in); err == nil {
			u.open[key] = up
		}
	}
	if err == nil {
		err = up.write(in.Data)
	}
	if err == nil && up.have == up.size {
		err = u.finish(up, in)
		if err == nil {
			delete(u.open, key)
			up.close()
			if len(u.mimes) > 100 {
				clear(u.mimes) // messages that never came; the type is a courtesy
			}
			u.mimes[key] = mimeType(in.Mime)
		}
	}
	if err != nil {
		u.drop(key)
	}
	return err
}

func (u *uploads) check(in wire.FilePart, up *upload) error {
	bad := func(format string, args ...any) error {
		return &fault{"file", fmt.Sprintf(format, args...), "send the file again from its start"}
	}
	end := in.Offset + int64(len(in.Data))
	switch {
	case u.inbox.Host == "":
		return &fault{"inbox", "files cannot be taken: no folder is shared as the inbox", "add a mount named inbox (mode ro) to secureclaw.yaml and restart"}
	case in.Message == "" || len(in.Message) > 128 || in.Name == "" || len(in.Name) > 1024:
		return bad("a file needs the id of its message and a name")
	case in.Size < 0 || in.Size > wire.MaxFile:
		return &fault{"file", fmt.Sprintf("the file has %s, the most is %s", amount(in.Size), amount(wire.MaxFile)), "put it into a shared folder by yourself"}
	case len(in.Data) > wire.MaxChunk:
		return bad("a piece has %d bytes, the most is %d", len(in.Data), wire.MaxChunk)
	case in.Offset < 0 || end > in.Size:
		return bad("a piece ends at byte %d of a file of %d", end, in.Size)
	case len(in.Data) == 0 && in.Size > 0:
		return bad("a piece is empty")
	case in.Offset > 0 && up == nil:
		return bad("the file did not begin")
	case in.Offset > 0 && (up.have != in.Offset || up.size != in.Size):
		return bad("a piece at byte %d of %d came, and the one at byte %d of %d was next", in.Offset, in.Size, up.have, up.size)
	case in.Offset == 0 && up == nil && len(u.open) >= maxUploads:
		return bad("%d files come at once already", maxUploads)
	}
	return nil
}

// begin makes room and an empty file that executors do not see yet.
func (u *uploads) begin(in wire.FilePart) (_ *upload, err error) {
	if err := os.MkdirAll(u.inbox.Host, 0o755); err != nil {
		return nil, u.broken(err)
	}
	// Everything below goes through this handle: a link in the folder leads nowhere else.
	root, err := os.OpenRoot(u.inbox.Host)
	if err != nil {
		return nil, u.broken(err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	used, err := usage(root)
	if err != nil {
		return nil, u.broken(err)
	}
	for _, other := range u.open {
		used += other.size - other.have
	}
	if used+in.Size > u.inbox.Quota {
		return nil, &fault{"inbox", fmt.Sprintf("the inbox is full: it holds %s of %s, and the file has %s", amount(used), amount(u.inbox.Quota), amount(in.Size)),
			"delete files in " + u.inbox.Host}
	}
	up := &upload{root: root, temp: unfinished + digest(in.Message, in.Name), size: in.Size}
	if err := root.Remove(up.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, u.broken(err)
	}
	if up.file, err = root.OpenFile(up.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, u.broken(err)
	}
	return up, nil
}

func (up *upload) write(data []byte) error {
	if _, err := up.file.Write(data); err != nil {
		return &fault{"inbox", "the file could not be written: " + err.Error(), "free the disk"}
	}
	up.have += int64(len(data))
	return nil
}

// finish puts a whole file under its name, on disk before anybody is told.
func (u *uploads) finish(up *upload, in wire.FilePart) error {
	name, _, err := find(up.root, in.Message, in.Name)
	if name == "" {
		name = u.now().Format("2006-01-02") + suffix(in.Message, in.Name)
	}
	if err == nil {
		err = up.file.Chmod(0o644) // executors are another user
	}
	if err == nil {
		err = up.file.Sync()
	}
	if err == nil {
		err = up.root.Rename(up.temp, name)
	}
	if err == nil {
		err = syncFolder(up.root)
	}
	if err != nil {
		return u.broken(err)
	}
	return nil
}

// lines are what the model reads of a message's files, or a fault when one is not whole.
func (u *uploads) lines(in wire.Message) ([]string, error) {
	if len(in.Files) == 0 {
		return nil, nil
	}
	missing := func(name string) error {
		return &fault{"file", fmt.Sprintf("the file %.80q of this message is not here", name), "send its pieces again, then the message"}
	}
	if u.inbox.Host == "" {
		return nil, missing(in.Files[0])
	}
	root, err := os.OpenRoot(u.inbox.Host)
	if err != nil {
		return nil, u.broken(err)
	}
	defer root.Close()
	var out []string
	for _, file := range in.Files {
		name, size, err := find(root, in.ID, file)
		if err != nil {
			return nil, u.broken(err)
		}
		if name == "" {
			return nil, missing(file)
		}
		what := amount(size)
		key := in.ID + "\x00" + file
		if mime := u.mimes[key]; mime != "" {
			what = mime + ", " + what
		}
		delete(u.mimes, key)
		out = append(out, fmt.Sprintf("%s (%s)", path.Join(u.inbox.Container, name), what))
	}
	return out, nil
}

// close drops every file that is not whole: its bridge is gone and will begin anew.
func (u *uploads) close() {
	for key := range u.open {
		u.drop(key)
	}
}

func (u *uploads) drop(key string) {
	if up := u.open[key]; up != nil {
		delete(u.open, key)
		_ = up.root.Remove(up.temp) // if it stays, the next start removes it
		up.close()
	}
}

func (up *upload) close() {
	_ = up.file.Close() // synced before, or thrown away
	_ = up.root.Close()
}

func (u *uploads) broken(err error) error {
	return &fault{"inbox", "the inbox cannot be written: " + err.Error(), "check the folder " + u.inbox.Host}
}

// usage is how many bytes the files of the inbox hold.
func usage(root *os.Root) (int64, error) {
	var sum int64
	err := fs.WalkDir(root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

func syncFolder(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
