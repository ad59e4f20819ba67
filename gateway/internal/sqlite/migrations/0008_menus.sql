-- Messages with buttons: what they show is read when they are shown, and stands here nowhere.
--
-- SQLite cannot widen a CHECK, so the outbox moves into a new table, and with it those that refer to it:
-- dropping a table deletes its rows first, and would take theirs along.

-- +goose Up
CREATE TABLE outbox_new (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,  -- a bridge knows an item by it: never given twice
  channel  TEXT NOT NULL,
  user     TEXT NOT NULL,
  key      TEXT NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('text','card','why','file','menu')),
  priority INTEGER NOT NULL CHECK (priority IN (0, 1)),  -- 0 for cards and whys
  run      TEXT NOT NULL,
  reply_to TEXT NOT NULL,
  text     TEXT NOT NULL,
  approval TEXT NOT NULL,
  file_name   TEXT,
  file_mime   TEXT,
  file_size   INTEGER,
  file_sha256 TEXT,
  menu         TEXT NOT NULL DEFAULT '',  -- which one
  menu_state   TEXT NOT NULL DEFAULT '',  -- where its user is in it; no word of what it shows
  menu_version INTEGER NOT NULL DEFAULT 0, -- grows with each change of menu_state
  at       INTEGER,
  part     INTEGER NOT NULL DEFAULT 0,  -- parts that are shown; of a card that is shown whole 0 again, of a menu always
  parts    INTEGER NOT NULL DEFAULT 0,  -- as the bridge last counted them
  tries    INTEGER NOT NULL DEFAULT 0,
  state    TEXT NOT NULL DEFAULT 'due' CHECK (state IN ('due','sent','failed')),
  shown_state TEXT NOT NULL DEFAULT '', -- of a card: the approval's state that is shown; of a menu: its version
  error    TEXT NOT NULL DEFAULT '',    -- why the last try failed
  ended    INTEGER,                     -- when it left the state 'due'
  UNIQUE (channel, user, key),
  CHECK (kind <> 'menu' OR text = '' AND menu <> '' AND menu_version > 0)
) STRICT;
INSERT INTO outbox_new (seq, channel, user, key, kind, priority, run, reply_to, text, approval, file_name, file_mime, file_size, file_sha256,
    at, part, parts, tries, state, shown_state, error, ended)
  SELECT seq, channel, user, key, kind, priority, run, reply_to, text, approval, file_name, file_mime, file_size, file_sha256,
    at, part, parts, tries, state, shown_state, error, ended FROM outbox;
-- The numbers of rows that are gone stay taken.
DELETE FROM sqlite_sequence WHERE name = 'outbox_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox_new', seq FROM sqlite_sequence WHERE name = 'outbox';

CREATE TABLE outbox_pieces_new (
  seq  INTEGER NOT NULL REFERENCES outbox_new (seq) ON DELETE CASCADE,
  n    INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (seq, n)
) STRICT;
INSERT INTO outbox_pieces_new SELECT seq, n, data FROM outbox_pieces;
CREATE TABLE outbox_refs_new (
  channel TEXT NOT NULL,
  user    TEXT NOT NULL,
  ref     TEXT NOT NULL,  -- the messenger's id of a message
  seq     INTEGER NOT NULL REFERENCES outbox_new (seq) ON DELETE CASCADE,
  n       INTEGER NOT NULL,
  PRIMARY KEY (channel, user, ref)
) STRICT;
INSERT INTO outbox_refs_new SELECT channel, user, ref, seq, n FROM outbox_refs;

DROP TABLE outbox_pieces;
DROP TABLE outbox_refs;
DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox; -- and so do those who refer to it
ALTER TABLE outbox_pieces_new RENAME TO outbox_pieces;
ALTER TABLE outbox_refs_new RENAME TO outbox_refs;
CREATE INDEX outbox_due ON outbox (channel, user, priority, seq) WHERE state = 'due';
CREATE INDEX outbox_ended ON outbox (ended) WHERE ended IS NOT NULL;
CREATE INDEX outbox_refs_seq ON outbox_refs (seq, n);

-- +goose Down
-- The wider table can stay: what is written by name into the old one goes into it too.
DELETE FROM outbox WHERE kind = 'menu';
