-- What is kept beyond a conversation.

-- +goose Up
-- Each owner has places of his own in the index, n<<32 and above: a search of one walks past no row of another.
CREATE TABLE memory_owners (
  n     INTEGER PRIMARY KEY,
  owner TEXT NOT NULL UNIQUE,
  count INTEGER NOT NULL,
  last  INTEGER NOT NULL  -- the place that was given last; a higher one is newer
) STRICT;

CREATE TABLE memories (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- turns name memories by it: never given twice
  place    INTEGER NOT NULL UNIQUE,
  owner    TEXT NOT NULL,
  category TEXT NOT NULL,
  content  TEXT NOT NULL,
  tags_json TEXT NOT NULL,
  author   TEXT NOT NULL,
  source   TEXT NOT NULL,
  session  TEXT NOT NULL,
  label_json TEXT NOT NULL,
  created  INTEGER NOT NULL,
  updated  INTEGER,
  used     INTEGER,
  uses     INTEGER NOT NULL DEFAULT 0,
  gist     INTEGER NOT NULL,  -- the same for two that say the same
  terms    TEXT NOT NULL      -- what it is found by, made by package memory
) STRICT;
CREATE INDEX memories_owner ON memories (owner, id);
CREATE INDEX memories_category ON memories (owner, category, id);
CREATE INDEX memories_gist ON memories (owner, gist);

-- Wordings that were merged into a memory and are not its words now.
CREATE TABLE memory_versions (
  memory  INTEGER NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
  at      INTEGER NOT NULL,
  content TEXT NOT NULL
) STRICT;
CREATE INDEX memory_versions_memory ON memory_versions (memory);

-- Terms come ready and apart by spaces: the tokenizer splits there and changes nothing else. Nothing here
-- ranks, and pairs of letters stand for phrases, so it needs neither sizes nor positions. Heads of words
-- have entries of their own, of three letters and of four: to gather those of all words that begin with
-- one takes 20 ms.
CREATE VIRTUAL TABLE memory_index USING fts5(terms, content = 'memories', content_rowid = 'place', tokenize = 'ascii', detail = 'none', columnsize = 0, prefix = '3 4');
-- What is deleted is taken out of the index at once, and not only marked.
INSERT INTO memory_index (memory_index, rank) VALUES ('secure-delete', 1);

-- +goose StatementBegin
CREATE TRIGGER memories_in AFTER INSERT ON memories BEGIN
  INSERT INTO memory_index (rowid, terms) VALUES (new.place, new.terms);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER memories_out AFTER DELETE ON memories BEGIN
  INSERT INTO memory_index (memory_index, rowid, terms) VALUES ('delete', old.place, old.terms);
  UPDATE memory_owners SET count = count - 1 WHERE owner = old.owner;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER memories_change AFTER UPDATE OF place, terms ON memories BEGIN
  INSERT INTO memory_index (memory_index, rowid, terms) VALUES ('delete', old.place, old.terms);
  INSERT INTO memory_index (rowid, terms) VALUES (new.place, new.terms);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE memory_index;
DROP TABLE memory_versions;
DROP TABLE memories;
DROP TABLE memory_owners;
