package wire

import "time"

// What is kept beyond conversations, as a terminal asks for it. A terminal belongs to the owner of this
// machine: it may look into the memories of everybody who uses this SecureClaw.

// The names of the requests, each with what it takes and what it gives.
const (
	ManageMemoriesList       = "memories.list"       // MemoriesList, MemoriesPage
	ManageMemoriesExport     = "memories.export"     // MemoriesList, MemoriesPage: as much as fits into a frame
	ManageMemoriesSearch     = "memories.search"     // MemoriesSearch, MemoriesPage
	ManageMemoriesShow       = "memories.show"       // MemoriesShow, MemoriesPage
	ManageMemoriesCategories = "memories.categories" // Whose, MemoriesCategories
	ManageMemoriesForget     = "memories.forget"     // MemoriesForget, MemoriesForgotten
	ManageMemoriesImport     = "memories.import"     // MemoriesImport, MemoriesImported
)

// MaxMemories is how many memories one request may name or carry.
const MaxMemories = 1000

// Whose says whose memories are meant: those of one person ("owner", "telegram:42"; empty is the owner),
// or everybody's.
type Whose struct {
	Of  string `json:"of,omitzero"`
	All bool   `json:"all,omitzero"`
}

// MemoriesList asks for a page, the newest first.
type MemoriesList struct {
	Whose
	Category string `json:"category,omitzero"`
	Below    int64  `json:"below,omitzero"` // ids smaller than it; 0 is the first page
	Limit    int    `json:"limit,omitzero"` // 0 is 100
}

// OwnerPattern is how somebody is called who has memories: the owner, or a user of a messenger.
const OwnerPattern = `^(owner|[a-z]{1,32}:[1-9][0-9]{0,18})$`

// MemoriesSearch asks for the best matches, the best first.
type MemoriesSearch struct {
	Whose
	Query string `json:"query"`
	Limit int    `json:"limit,omitzero"` // 0 is 20
	// Every leaves out what lacks one of the words: the newest first, and not the best.
	Every bool `json:"every,omitzero"`
}

// MemoriesShow asks for memories by their ids. One that is not there is an error.
type MemoriesShow struct {
	Whose
	IDs []int64 `json:"ids"`
}

// MemoriesPage is some memories. Below is what to ask for the next page with, 0 when there is none.
type MemoriesPage struct {
	Memories []Memory `json:"memories"`
	Below    int64    `json:"below,omitzero"`
}

// Memory is one memory; a line of an export is one, too.
type Memory struct {
	ID       int64    `json:"id,omitzero"`
	Owner    string   `json:"owner,omitzero"`
	Category string   `json:"category,omitzero"`
	Content  string   `json:"content"`
	Tags     []string `json:"tags,omitempty"`
	// Author wrote the words: "model", "user" or "import"; Source says how they came in.
	Author  string    `json:"author,omitzero"`
	Source  string    `json:"source,omitzero"`
	Session string    `json:"session,omitzero"`
	Label   Label     `json:"label,omitzero"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	Used    time.Time `json:"used,omitzero"`
	Uses    int       `json:"uses,omitzero"`
	// Before are wordings that were merged into it. An import leaves them in its file.
	Before []MemoryVersion `json:"before,omitempty"`
}

// MemoryVersion is an earlier wording of a memory, and until when it stood.
type MemoryVersion struct {
	Content string    `json:"content"`
	At      time.Time `json:"at"`
}

// Label is what is known of content: Integrity is "external", "owned" or "user", Privacy "private" or
// "public". What a label leaves out is the worst.
type Label struct {
	Integrity string   `json:"integrity,omitzero"`
	Privacy   string   `json:"privacy,omitzero"`
	Sources   []string `json:"sources,omitempty"`
}

// MemoriesCategories are the categories and how many memories each has: by name, or if there are more than an
// answer holds, the largest. More is how many others there are.
type MemoriesCategories struct {
	Categories []MemoryCategory `json:"categories"`
	More       int              `json:"more,omitzero"`
}

// MemoryCategory is one of them.
type MemoryCategory struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// MemoriesForget asks to delete memories for good. Unless all of them are there and belong to the one who
// is named, nothing is deleted; nor if one of them was merged with other words after Seen, the last change that
// whoever says yes was shown. Zero does not ask.
type MemoriesForget struct {
	Whose
	IDs  []int64   `json:"ids"`
	Seen time.Time `json:"seen,omitzero"`
}

// MemoriesForgotten says how many were deleted.
type MemoriesForgotten struct {
	Count int `json:"count"`
}

// MemoriesImport brings in the lines of a file. Whoever is named by Of owns them; with All they belong to
// whom the file says; with neither, a line of somebody else's is a problem.
type MemoriesImport struct {
	Whose
	File string       `json:"file"` // its name, for the source
	Rows []MemoryLine `json:"rows"`
	// Trust takes labels, authors and sources as the file has them. Without it they are external and
	// private: a file is what anybody wrote into it.
	Trust bool `json:"trust,omitzero"`
	// Dry only says what is wrong.
	Dry bool `json:"dry,omitzero"`
}

// MemoryLine is a memory and the line of the file that it stands on, from 1.
type MemoryLine struct {
	Line   int    `json:"line"`
	Memory Memory `json:"memory"`
}

// MemoriesImported says what became of the rows. If there are Problems, nothing was brought in.
type MemoriesImported struct {
	New      int           `json:"new"`
	Merged   int           `json:"merged"` // was known: one memory with what was there
	Problems []LineProblem `json:"problems,omitempty"`
}

// LineProblem is what is wrong with a line of a file.
type LineProblem struct {
	Line int    `json:"line"`
	What string `json:"what"`
}
