package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"
)

// shape is what a container is made of: two containers of one shape differ in their names, in the labels
// for call and deadline, and in nothing else. It is the digest of the very request for it, so that
// nothing that a request can say is forgotten here, and of which things it covers, where they lie and when
// they last changed.
// The zero shape is that of no container.
type shape [sha256.Size]byte

// shapeOf is the shape of a task at a place. Folders of it are resolved.
func shapeOf(t Task, p place) (shape, error) {
	t.ID, t.Call, p.deadline = "", "", time.Time{}
	config, host := spec(t, p)
	// The filter is a text of 20 KB that its kind stands for.
	for i, option := range host.SecurityOpt {
		if strings.HasPrefix(option, "seccomp=") {
			host.SecurityOpt[i] = "seccomp of " + t.Kind
		}
	}
	data, err := json.Marshal(struct {
		Kind   string
		Config *api.Config
		Host   *api.HostConfig
	}{t.Kind, config, host})
	if err != nil {
		return shape{}, fmt.Errorf("encode a container's request: %w", err)
	}
	h := sha256.New()
	h.Write(data)
	for _, mount := range p.hidden {
		for _, c := range mount {
			var b []byte
			for _, n := range []uint64{c.dev, c.ino, c.folder[0], c.folder[1], uint64(c.changed)} {
				b = binary.BigEndian.AppendUint64(b, n)
			}
			h.Write(b)
		}
	}
	return shape(h.Sum(nil)), nil
}

// form is a task without what belongs to one call: what its claims and the configuration determine. Tasks
// of one form have one shape until a folder, an image or what a folder hides changes; but for one that is
// shown what others are not, for which none waits.
func form(t Task) (string, error) {
	t.Shown = ""
	t.ID, t.Call, t.Envelope, t.Nonce, t.Timeout, t.Out, t.Refused = "", "", nil, "", 0, nil, nil
	data, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode a task's form: %w", err)
	}
	return string(data), nil
}
