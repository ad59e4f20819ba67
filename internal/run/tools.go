package run

// This file holds the argument and result types of the tools that run in executors. The gateway
// parses and cleans the arguments; the executor reads the same type again. Paths are absolute and
// clean, as they appear inside the container. Text that is not UTF-8 is written with each
// offending byte as \xNN, and Lossy or Binary says so.

// Names of the tools.
const (
	ToolShell         = "run_shell_command"
	ToolReadFile      = "read_file"
	ToolWriteFile     = "write_file"
	ToolListDirectory = "list_directory"
	ToolSearchFiles   = "search_files"
	ToolStat          = "stat"
	ToolSendFile      = "send_file"
)

// Access of a shell command.
const (
	AccessRead  = "read"  // every mount is read-only
	AccessWrite = "write" // the mount that holds the working directory is writable
)

// Shell is the input of run_shell_command.
type Shell struct {
	Command          string `json:"command"`
	WorkingDirectory string `json:"working_directory"`
	TimeoutSeconds   int    `json:"timeout_seconds"`
	Access           string `json:"access"`
}

// ShellResult is its value. ExitCode is 128+n after signal n, as shells say it.
type ShellResult struct {
	ExitCode int  `json:"exit_code"`
	Stdout   Text `json:"stdout"`
	Stderr   Text `json:"stderr"`
	// Note states what the exit code alone does not: a timeout, the memory limit, processes left behind and killed.
	Note string `json:"note,omitzero"`
}

// Text is output that may have been cut. When Truncated, Text holds the head and the tail with one line
// between them that states the cut, and Bytes is what there was in all.
type Text struct {
	Text      string `json:"text"`
	Bytes     int64  `json:"bytes"`
	Truncated bool   `json:"truncated,omitzero"`
	Lossy     bool   `json:"lossy,omitzero"` // had bytes that are not UTF-8
}

// ReadFile is the input of read_file. Lines count from 1; the zero Limit means as many as fit the cap.
type ReadFile struct {
	Path   string `json:"path"`
	Offset int    `json:"offset,omitzero"` // first line
	Limit  int    `json:"limit,omitzero"`  // number of lines
}

// ReadFileResult is its value. A binary file has no Content.
type ReadFileResult struct {
	Path      string `json:"path"`
	Content   string `json:"content"`
	FirstLine int    `json:"first_line,omitzero"`
	LastLine  int    `json:"last_line,omitzero"`
	Size      int64  `json:"size"`
	Truncated bool   `json:"truncated,omitzero"` // there is more after LastLine
	Binary    bool   `json:"binary,omitzero"`
	Lossy     bool   `json:"lossy,omitzero"`
	Note      string `json:"note,omitzero"`
}

// Modes of write_file.
const (
	WriteCreate    = "create"    // fails when the file exists
	WriteOverwrite = "overwrite" // replaces the whole file, or creates it
	WriteAppend    = "append"    // adds at the end, or creates it
)

// WriteFile is the input of write_file.
type WriteFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Mode    string `json:"mode"`
}

// WriteFileResult is its value. Diff is a unified diff against what was there, cut to the cap.
type WriteFileResult struct {
	Path    string `json:"path"`
	Created bool   `json:"created,omitzero"`
	Size    int64  `json:"size"`
	Diff    Text   `json:"diff"`
}

// ListDirectory is the input of list_directory.
type ListDirectory struct {
	Path  string `json:"path"`
	Limit int    `json:"limit,omitzero"` // most entries; zero means 1000
}

// Entry is one name in a directory. Name has odd characters escaped as in a Go string; Type is file, directory, link, fifo, socket, device.
type Entry struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Size     int64  `json:"size,omitzero"`
	Modified string `json:"modified"` // RFC 3339, UTC
	Target   string `json:"target,omitzero"`
}

// ListDirectoryResult is its value, sorted by name.
type ListDirectoryResult struct {
	Path      string  `json:"path"`
	Entries   []Entry `json:"entries"`
	Total     int     `json:"total"`
	Truncated bool    `json:"truncated,omitzero"`
}

// SearchFiles is the input of search_files. Pattern is a regular expression of ripgrep's default
// engine, or a literal text when Literal is set; Glob narrows by name ("*.go").
type SearchFiles struct {
	Pattern       string `json:"pattern"`
	Path          string `json:"path"`
	Glob          string `json:"glob,omitzero"`
	Literal       bool   `json:"literal,omitzero"`
	CaseSensitive bool   `json:"case_sensitive,omitzero"`
	Limit         int    `json:"limit,omitzero"` // most matches; zero means 200
}

// Match is one line that matched. Line numbers count from 1.
type Match struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// SearchFilesResult is its value.
type SearchFilesResult struct {
	Matches   []Match `json:"matches"`
	Truncated bool    `json:"truncated,omitzero"`
	Note      string  `json:"note,omitzero"`
}

// Stat is the input of stat.
type Stat struct {
	Path string `json:"path"`
}

// StatResult is its value.
type StatResult struct {
	Entry
	Path  string `json:"path"`
	Mode  string `json:"mode"` // -rw-r--r--
	Links uint64 `json:"links"`
}

// MaxSend is the most bytes of a file that send_file takes.
const MaxSend = 10 << 20

// SendFile is the input of send_file. An executor reads the file piece by piece, each in a call of
// its own ([Task].Piece); the gateway puts them together and hands them to the user's messenger.
type SendFile struct {
	Path    string `json:"path"`
	Caption string `json:"caption,omitzero"`
}

// SendFilePiece is what the executor answers: the bytes that were asked for, fewer only at the end.
type SendFilePiece struct {
	Data []byte `json:"data"`
	Size int64  `json:"size"` // of the whole file
	// Version is the same for as long as nobody touched the file: inode, size, and the times of its
	// last modification and change, to the nanosecond. It is compared and not read.
	Version string `json:"version"`
}

// SendFileResult is what the model is told.
type SendFileResult struct {
	Path   string `json:"path"`
	Name   string `json:"name"` // as the user sees it
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Note   string `json:"note"`
}
