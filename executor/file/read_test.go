package file_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/run"
)

func TestRead(t *testing.T) {
	root := workspace(t, "ro")
	long := strings.Repeat("x", testCap+100)
	many := strings.Repeat("0123456789\n", 10_000)
	fits := testCap / 11
	for name, tc := range map[string]struct {
		content       string
		offset, limit int
		want          run.ReadFileResult
	}{
		"all":               {"a\nb\n", 0, 0, run.ReadFileResult{Content: "a\nb\n", FirstLine: 1, LastLine: 2}},
		"empty":             {"", 0, 0, run.ReadFileResult{}},
		"no last newline":   {"a\nb", 0, 0, run.ReadFileResult{Content: "a\nb", FirstLine: 1, LastLine: 2}},
		"a range":           {"a\nb\nc\nd\n", 2, 2, run.ReadFileResult{Content: "b\nc\n", FirstLine: 2, LastLine: 3, Truncated: true}},
		"to the end":        {"a\nb\nc", 2, 2, run.ReadFileResult{Content: "b\nc", FirstLine: 2, LastLine: 3}},
		"behind the end":    {"a\nb\n", 3, 1, run.ReadFileResult{Note: "the file has only 2 lines"}},
		"far behind":        {"a\nb", 9, 1, run.ReadFileResult{Note: "the file has only 2 lines"}},
		"only a newline":    {"\n", 0, 0, run.ReadFileResult{Content: "\n", FirstLine: 1, LastLine: 1}},
		"NUL":               {"a\x00b", 0, 0, run.ReadFileResult{Binary: true, Note: "binary file, its content is not shown"}},
		"NUL far in":        {many + "\x00\n", 10_001, 1, run.ReadFileResult{Binary: true, Note: "binary data in these lines, they are not shown"}},
		"older encoding":    {"caf\xe9 au lait, 2 croissants\n", 0, 0, run.ReadFileResult{Content: "caf\\xe9 au lait, 2 croissants\n", FirstLine: 1, LastLine: 1, Lossy: true}},
		"no text at all":    {strings.Repeat("\xff\xfe\x01", 100), 0, 0, run.ReadFileResult{Binary: true, Note: "binary file, its content is not shown"}},
		"control bytes":     {"\x1b[31mred\r\n", 0, 0, run.ReadFileResult{Content: "\x1b[31mred\r\n", FirstLine: 1, LastLine: 1}},
		"more than the cap": {many, 0, 0, run.ReadFileResult{Content: many[:fits*11], FirstLine: 1, LastLine: fits, Truncated: true}},
		"a line over the cap": {long + "\nb\n", 0, 0, run.ReadFileResult{
			Content: long[:testCap], FirstLine: 1, LastLine: 1, Truncated: true,
			Note: "line 1 is longer than the limit; its first 65536 bytes are shown"}},
		"behind a line over the cap": {long + "\nb\n", 2, 0, run.ReadFileResult{Content: "b\n", FirstLine: 2, LastLine: 2}},
		"long last line":             {"a\n" + long, 0, 0, run.ReadFileResult{Content: "a\n", FirstLine: 1, LastLine: 1, Truncated: true}},
	} {
		t.Run(name, func(t *testing.T) {
			path := put(t, root, "f", tc.content)
			got := value[run.ReadFileResult](t, perform(t, run.ToolReadFile, run.ReadFile{Path: path, Offset: tc.offset, Limit: tc.limit}, root))
			tc.want.Path, tc.want.Size = path, int64(len(tc.content))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("read_file(offset %d, limit %d) of %.40q (-want +got):\n%s", tc.offset, tc.limit, tc.content, diff)
			}
		})
	}
}
