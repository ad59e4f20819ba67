package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file names the files of the inbox: "2026-01-02-1f0c9a7e-q3.pdf" is the day, what keeps
// messages apart, and the sender's own name made harmless.

// maxNameBytes is the most bytes of a sender's name for a file.
const maxNameBytes = 100

// find looks for a message's file, whatever day it came: one that is sent again takes its own place.
func find(root *os.Root, message, name string) (string, int64, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return "", 0, err
	}
	for _, e := range entries {
		if _, end, ok := strings.Cut(e.Name(), suffix(message, name)); !ok || end != "" || len(e.Name()) != len("2006-01-02")+len(suffix(message, name)) {
			continue
		}
		info, err := root.Lstat(e.Name())
		if err != nil {
			return "", 0, err
		}
		if info.Mode().IsRegular() {
			return e.Name(), info.Size(), nil
		}
	}
	return "", 0, nil
}

func suffix(message, name string) string { return "-" + digest(message, name) + "-" + fileName(name) }

// digest keeps files of two messages, and two files of one, apart.
func digest(message, name string) string {
	sum := sha256.Sum256([]byte(message + "\x00" + name))
	return hex.EncodeToString(sum[:4])
}

// fileName is a sender's name for a file, made harmless: one element of a path, not hidden, of
// letters, digits and a few marks, and short; its extension stays.
func fileName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if claw.Shows(r) && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '_'
	}, name)
	name = strings.TrimLeft(name, ".")
	if strings.Trim(name, "._-") == "" {
		return "file"
	}
	ext := path.Ext(name)
	if len(ext) > 20 || len(ext) < 2 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for len(stem)+len(ext) > maxNameBytes {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + ext
}

// mimeType is a type as a sender names it, or nothing if it is no type.
func mimeType(mime string) string {
	if len(mime) > 80 || strings.Count(mime, "/") != 1 || strings.Trim(mime, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.+-") != "" {
		return ""
	}
	return mime
}
