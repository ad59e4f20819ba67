package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"unicode"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// send reads a file piece by piece, each with a token and a container of its own, and hands the whole
// to the user's conversation. A file that changes meanwhile is not sent: it would be one that never was.
func (d *Dispatch) send(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	end := func(status claw.Status, format string, args ...any) claw.ToolResult {
		return result(call, action, status, format, args...)
	}
	if d.hand == nil {
		return end(claw.Failed, "Not sent: this conversation cannot show files.")
	}
	var in run.SendFile
	if err := strict.Decode(action.Input, &in); err != nil {
		return end(claw.Refused, "Not sent: arguments: %v.", err)
	}
	var data []byte
	var size int64
	var version string
	var container, waited claw.Elapsed
	for {
		got := d.once(ctx, call, action, &run.Piece{Offset: int64(len(data)), Limit: run.MaxPiece})
		container += got.Container
		waited += got.Waited
		got.Container, got.Waited = container, waited
		if got.Status != claw.OK {
			return got
		}
		var piece run.SendFilePiece
		if err := strict.Decode([]byte(got.Content), &piece); err != nil {
			return end(claw.Failed, "Not sent: the container gave no valid piece of the file.")
		}
		switch rest := piece.Size - int64(len(data)); {
		case piece.Size > run.MaxSend:
			return end(claw.Failed, "Not sent: %s has %d bytes, and the most is %d.", in.Path, piece.Size, run.MaxSend)
		case piece.Size == 0:
			return end(claw.Failed, "Not sent: %s is empty.", in.Path)
		case len(data) > 0 && (piece.Version != version || piece.Size != size), int64(len(piece.Data)) != min(rest, run.MaxPiece):
			return end(claw.Failed, "Not sent: %s changed while it was read. Try again when nothing writes it.", in.Path)
		}
		size, version = piece.Size, piece.Version
		if data = append(data, piece.Data...); int64(len(data)) == piece.Size {
			break
		}
	}
	name := shownName(in.Path)
	if err := d.hand(ctx, call, name, mimeOf(name, data), in.Caption, data); err != nil {
		return end(claw.Failed, "Not sent: %v.", strings.TrimSuffix(err.Error(), "."))
	}
	sum := sha256.Sum256(data)
	value, err := strict.CanonicalOf(run.SendFileResult{
		Path: in.Path, Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Note: "queued for the user",
	})
	if err != nil {
		return end(claw.Failed, "It is queued for the user, but the result cannot be written: %v.", err)
	}
	done := end(claw.OK, "%s", value)
	done.Container, done.Waited = container, waited
	return done
}

// shownName is what the user sees: the last element, without what would not show as itself.
func shownName(p string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, path.Base(p))
}

// mimeOf guesses the type of a file by its name, else by its first bytes. It asks no file of this
// computer, as package mime would.
func mimeOf(name string, data []byte) string {
	known := map[string]string{
		".md": "text/markdown", ".csv": "text/csv", ".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml",
		".svg": "image/svg+xml", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
		".odt": "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet", ".epub": "application/epub+zip",
	}
	if kind, ok := known[strings.ToLower(path.Ext(name))]; ok {
		return kind
	}
	return http.DetectContentType(data)
}
