-- What a messenger must still show, and which conversation each of its users is in.

-- +goose Up
CREATE TABLE outbox (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,  -- a bridge knows an item by it: never given twice
  channel  TEXT NOT NULL,
  user     TEXT NOT NULL,
  key      TEXT NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('text','card','why','file')),
  priority INTEGER NOT NULL CHECK (priority IN (0, 1)),  -- 0 for cards and whys
  run      TEXT NOT NULL,
  reply_to TEXT NOT NULL,
  text     TEXT NOT NULL,
  approval TEXT NOT NULL,
  file_name   TEXT,
  file_mime   TEXT,
  file_size   INTEGER,
  file_sha256 TEXT,
  at       INTEGER,
  part     INTEGER NOT NULL DEFAULT 0,  -- parts that are shown; of a card that is shown whole 0 again
  parts    INTEGER NOT NULL DEFAULT 0,  -- as the bridge last counted them
  tries    INTEGER NOT NULL DEFAULT 0,
  state    TEXT NOT NULL DEFAULT 'due' CHECK (state IN ('due','sent','failed')),
  shown_state TEXT NOT NULL DEFAULT '', -- of a card: the approval's state that is shown
  error    TEXT NOT NULL DEFAULT '',    -- why the last try failed
  ended    INTEGER,                     -- when it left the state 'due'
  UNIQUE (channel, user, key)
) STRICT;
-- A card stays 'due' until it shows a state that its approval cannot leave, so this index holds all
-- that may be due and nothing of what was.
CREATE INDEX outbox_due ON outbox (channel, user, priority, seq) WHERE state = 'due';
CREATE INDEX outbox_ended ON outbox (ended) WHERE ended IS NOT NULL;

-- The bytes of a file in pieces: a blob is read as a whole, however little of it is asked for.
CREATE TABLE outbox_pieces (
  seq  INTEGER NOT NULL REFERENCES outbox (seq) ON DELETE CASCADE,
  n    INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (seq, n)
) STRICT;

CREATE TABLE outbox_refs (
  channel TEXT NOT NULL,
  user    TEXT NOT NULL,
  ref     TEXT NOT NULL,  -- the messenger's id of a message
  seq     INTEGER NOT NULL REFERENCES outbox (seq) ON DELETE CASCADE,
  n       INTEGER NOT NULL,
  PRIMARY KEY (channel, user, ref)
) STRICT;
CREATE INDEX outbox_refs_seq ON outbox_refs (seq, n);

CREATE TABLE outbox_holds (
  channel  TEXT NOT NULL,
  user     TEXT NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (channel, user)
) STRICT;

CREATE TABLE bubbles (
  run     TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  user    TEXT NOT NULL,
  ref     TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX bubbles_at ON bubbles (at);

CREATE TABLE current_sessions (
  channel TEXT NOT NULL,
  user    TEXT NOT NULL,
  session TEXT NOT NULL REFERENCES sessions (id),
  PRIMARY KEY (channel, user)
) STRICT;
CREATE INDEX sessions_owner ON sessions (channel, user);

-- +goose Down
DROP INDEX sessions_owner;
DROP TABLE current_sessions;
DROP TABLE bubbles;
DROP TABLE outbox_holds;
DROP TABLE outbox_refs;
DROP TABLE outbox_pieces;
DROP TABLE outbox;
