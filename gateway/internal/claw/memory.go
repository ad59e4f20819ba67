package claw

import (
	"fmt"
	"strings"
	"time"
)

// Memory is one thing that is kept beyond its conversation. Its label is that of everything the model
// had read when it was saved, for good: reading it again brings that label along.
type Memory struct {
	ID int64 `json:"id"`
	// Owner is the person whose memory it is: [Owner] or "telegram:123". Nobody else's model recalls it.
	Owner    string   `json:"owner"`
	Category string   `json:"category"`
	Content  string   `json:"content"`
	Tags     []string `json:"tags,omitempty"`
	// Author wrote the words: "model", "user" or "import".
	Author string `json:"author"`
	// Source says how it came in: a channel, or the file of an import.
	Source  string    `json:"source"`
	Session SessionID `json:"session,omitzero"`
	Label   Label     `json:"label"`
	Created time.Time `json:"created"`
	// Updated is when a near-duplicate was merged into it, Used when a model last read it; zero if never.
	Updated time.Time `json:"updated,omitzero"`
	Used    time.Time `json:"used,omitzero"`
	Uses    int       `json:"uses,omitzero"`
}

// maxShownSources is how many sources of a memory are named to a model; a session's label has them all.
const maxShownSources = 5

// Block is a memory as a model reads it, wherever it does: a header of ours, and below it the text with every
// line marked. All of it may be somebody else's words, the names in the header too. A nil zone is UTC.
func (m Memory) Block(zone *time.Location) string {
	said := m.Created
	if m.Updated.After(said) {
		said = m.Updated
	}
	if zone == nil {
		zone = time.UTC
	}
	head := fmt.Sprintf("memory %d · %s · saved %s", m.ID, Framed(m.Category, 40), said.In(zone).Format(time.DateOnly))
	if source := Framed(m.Source, 60); source != "" {
		head += " · from " + source
	}
	var read []string
	for i, source := range m.Label.Sources {
		if i == maxShownSources {
			read = append(read, MoreSources)
			break
		}
		read = append(read, Framed(source, 80))
	}
	switch {
	case len(read) > 0:
		head += " · has read: " + strings.Join(read, ", ")
	case m.Label.Integrity == External:
		head += " · has read: what strangers wrote"
	}
	text := m.Content
	if len(m.Tags) > 0 {
		text += "\n(tags: " + strings.Join(m.Tags, ", ") + ")" // words of whoever saved it, so below the mark
	}
	return "[" + head + "]\n" + Marked(text)
}

// Owner is the person who owns this SecureClaw: at its terminal, and the first user on each messenger.
const Owner = "owner"

// MemoryQuery selects memories, the newest first. Zero fields select all; Limit zero is a hundred.
type MemoryQuery struct {
	Owner    string
	Category string
	// Below selects ids smaller than it, for the next page.
	Below int64
	Limit int
}

// MemoryCategory is a category and how many memories it has.
type MemoryCategory struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}
