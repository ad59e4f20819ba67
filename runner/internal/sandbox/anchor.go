package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// anchors hold the folders that a waiting container has mounted. Who deletes a folder and makes it again
// has another one, and the container the deleted; while we hold that, its inode's number is not given
// to the new one, so that comparing them tells. The zero anchors hold.
type anchors []anchor

type anchor struct {
	path     string
	fd       int
	dev, ino uint64
}

// hold opens the folders of mounts, which are resolved paths. Close lets go of them.
func hold(mounts []Mount) (anchors, error) {
	var held anchors
	for _, m := range mounts {
		fd, err := unix.Open(m.Source, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			held.close()
			return nil, fmt.Errorf("hold %s: %w", m.Source, err)
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		held = append(held, anchor{m.Source, fd, uint64(st.Dev), st.Ino})
		if err != nil {
			held.close()
			return nil, fmt.Errorf("hold %s: %w", m.Source, err)
		}
	}
	return held, nil
}

// check says which folder is no longer what it was.
func (a anchors) check() error {
	for _, held := range a {
		var st unix.Stat_t
		err := unix.Lstat(held.path, &st)
		if errors.Is(err, unix.EINTR) {
			err = unix.Lstat(held.path, &st)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", held.path, err)
		}
		if uint64(st.Dev) != held.dev || st.Ino != held.ino {
			return fmt.Errorf("%s is another folder than when the container was started", held.path)
		}
	}
	return nil
}

func (a anchors) close() {
	for _, held := range a {
		_ = unix.Close(held.fd)
	}
}
