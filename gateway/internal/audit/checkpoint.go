package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	checkpointFile = "checkpoints"
	keyFile        = "key.pub"
	origin         = "secureclaw-audit" // name of the key, and first line of every checkpoint
)

// Checkpoint is a signed statement about the first Size entries.
type Checkpoint struct {
	Size uint64
	Root string // tree head, base64
	Note string // the signed text; kept elsewhere it is a witness
}

// head is a checkpoint as read. before is the tree head without the last entry: it tells an edit of
// that entry from an edit further up.
type head struct {
	size         uint64
	root, before tlog.Hash
	text         string
}

func (h head) checkpoint() Checkpoint {
	return Checkpoint{Size: h.size, Root: h.root.String(), Note: h.text}
}

// VerifierKey returns the text form of a public key, as it is in the file key.pub.
func VerifierKey(pub ed25519.PublicKey) (string, error) {
	return note.NewEd25519VerifierKey(origin, pub)
}

// ReadKey reads the public key that the writer left beside the log in dir.
func ReadKey(dir string) (ed25519.PublicKey, error) {
	data, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(data))
	_, coded, _ := strings.Cut(strings.TrimPrefix(text, origin+"+"), "+")
	raw, err := base64.StdEncoding.DecodeString(coded)
	if err == nil && len(raw) == 1+ed25519.PublicKeySize {
		pub := ed25519.PublicKey(raw[1:])
		if again, err := VerifierKey(pub); err == nil && again == text {
			return pub, nil
		}
	}
	return nil, fmt.Errorf("%s is not a verifier key", filepath.Join(dir, keyFile))
}

func verifier(pub ed25519.PublicKey) (note.Verifiers, error) {
	text, err := VerifierKey(pub)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, err
	}
	return note.VerifierList(v), nil
}

// signer signs notes with a plain Ed25519 key; package note wants its own text form of one.
type signer struct {
	key  ed25519.PrivateKey
	hash uint32
}

var _ note.Signer = (*signer)(nil)

func newSigner(key ed25519.PrivateKey) (*signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("audit: no signing key")
	}
	text, err := VerifierKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, err
	}
	return &signer{key, v.KeyHash()}, nil
}

func (s *signer) Name() string                    { return origin }
func (s *signer) KeyHash() uint32                 { return s.hash }
func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func (s *signer) head(size uint64, root, before tlog.Hash) (head, error) {
	text := fmt.Sprintf("%s\n%d\n%v\nbefore %v\n", origin, size, root, before)
	signed, err := note.Sign(&note.Note{Text: text}, s)
	return head{size, root, before, string(signed)}, err
}

// check compares the signature.
func (h head) check(keys note.Verifiers) error {
	_, err := note.Open([]byte(h.text), keys)
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return errors.New("signed by another key")
	}
	if err != nil {
		return fmt.Errorf("not signed by this log: %v", err)
	}
	return nil
}

// parseHead reads one note. Its signature is not looked at: there may be thousands, and whoever
// uses one checks it.
func parseHead(text string) (h head, err error) {
	h.text = text
	lines := strings.Split(text, "\n")
	if len(lines) != 7 || lines[4] != "" || lines[6] != "" || lines[0] != origin || !strings.HasPrefix(lines[3], "before ") {
		return head{}, errors.New("not a checkpoint of an audit log")
	}
	h.size, err = strconv.ParseUint(lines[1], 10, 64)
	if err == nil {
		h.root, err = tlog.ParseHash(lines[2])
	}
	if err == nil {
		h.before, err = tlog.ParseHash(strings.TrimPrefix(lines[3], "before "))
	}
	return h, err
}

// heads is the file of checkpoints as read: as many as are good, then what is wrong with the next.
type heads struct {
	list []head
	good int64  // length of the file up to the end of the last good one
	torn []byte // an unfinished last note, left by a crash
	bad  error  // a finished note that is none
}

// readHeads reads dir's checkpoints, which may be forged until they are checked. In the file a note is followed by an empty line, so each ends
// with the second empty line after its start.
func readHeads(dir string) (heads, error) {
	var hs heads
	data, err := os.ReadFile(filepath.Join(dir, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return hs, nil
	}
	if err != nil {
		return hs, err
	}
	for len(data) > 0 {
		body := bytes.Index(data, []byte("\n\n"))
		end := -1
		if body >= 0 {
			end = bytes.Index(data[body+2:], []byte("\n\n"))
		}
		if end < 0 {
			hs.torn = data
			return hs, nil
		}
		end += body + 2
		h, err := parseHead(string(data[:end+1]))
		if err == nil && len(hs.list) > 0 && h.size <= hs.list[len(hs.list)-1].size {
			err = errors.New("repeated or out of order")
		}
		if err != nil {
			hs.bad = err
			return hs, nil
		}
		hs.list = append(hs.list, h)
		hs.good += int64(end + 2)
		data = data[end+2:]
	}
	return hs, nil
}
