package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// send reads one piece of a file that is on its way to the user. Each piece of a file is read in a
// container of its own; the version of the file in each answer shows whether they fit together.
func send(_ context.Context, call executor.Call) executor.Answer {
	var in run.SendFile
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	if call.Piece == nil {
		return executor.Refused("the task does not say which piece of the file")
	}
	if err := call.Piece.Valid(); err != nil {
		return executor.Refused("%v", err)
	}
	f, before, err := openRegular(call.Roots, in.Path, os.O_RDONLY)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer f.Close()
	left := max(0, before.Size-call.Piece.Offset)
	data := make([]byte, min(int64(call.Piece.Limit), left))
	// What is appended meanwhile is not read: the sizes will differ, and that is what counts.
	n, err := f.ReadAt(data, call.Piece.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	after, err := statRegular(f, in.Path)
	if err != nil {
		return executor.AnswerTo(err)
	}
	if n < len(data) || version(before) != version(after) {
		return executor.Failed("%q was changed while it was read", in.Path)
	}
	return executor.Done(run.SendFilePiece{Data: data, Size: min(before.Size, maxInteger), Version: version(before)})
}

// version names the content of a file. The change time is in it because the modification time can be
// set back.
func version(st *unix.Stat_t) string {
	return fmt.Sprintf("%d %d %d %d", st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
}
