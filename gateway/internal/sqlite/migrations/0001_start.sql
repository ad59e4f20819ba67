-- Times are milliseconds since 1970, UTC. Columns named *_json hold what package strict encodes.

-- +goose Up
CREATE TABLE approvals (
  id       TEXT PRIMARY KEY,
  code     TEXT NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('pending','allowed','denied','expired','cancelled','started','done','unknown')),
  session  TEXT NOT NULL,
  call     TEXT NOT NULL UNIQUE,  -- a call is asked about once
  call_json     TEXT NOT NULL,
  action_json   TEXT NOT NULL,
  digest   TEXT NOT NULL,
  rule     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  asked    INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  decision_json TEXT,
  decided  INTEGER,
  started  INTEGER,
  ended    INTEGER,
  result_json   TEXT
) STRICT;
CREATE UNIQUE INDEX approvals_code_pending ON approvals (code) WHERE state = 'pending';
CREATE INDEX approvals_open ON approvals (state, asked) WHERE state IN ('pending','allowed','started');
CREATE INDEX approvals_asked ON approvals (asked);
CREATE INDEX approvals_code ON approvals (code);

CREATE TABLE sessions (
  id      TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  user    TEXT NOT NULL,
  title   TEXT NOT NULL,
  created INTEGER NOT NULL,
  label_json TEXT NOT NULL
) STRICT;

CREATE TABLE turns (
  session TEXT NOT NULL REFERENCES sessions (id),
  n       INTEGER NOT NULL,  -- from 1, without gaps
  at      INTEGER NOT NULL,
  turn_json TEXT NOT NULL,
  PRIMARY KEY (session, n)
) STRICT;

CREATE TABLE messages (
  channel TEXT NOT NULL,
  id      TEXT NOT NULL,
  session TEXT NOT NULL,
  at      INTEGER NOT NULL,
  state   TEXT NOT NULL CHECK (state IN ('accepted','answered')),
  message_json TEXT NOT NULL,
  reply   TEXT,
  seq     INTEGER PRIMARY KEY,  -- order of arrival
  UNIQUE (channel, id)
) STRICT;
CREATE INDEX messages_unanswered ON messages (seq) WHERE state = 'accepted';

CREATE TABLE usage (
  at      INTEGER NOT NULL,
  session TEXT NOT NULL,
  run     TEXT NOT NULL,
  model   TEXT NOT NULL,
  input       INTEGER NOT NULL,
  output      INTEGER NOT NULL,
  cache_read  INTEGER NOT NULL,
  cache_write INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_at ON usage (at);
CREATE INDEX usage_session ON usage (session, at);

-- +goose Down
DROP TABLE usage;
DROP TABLE messages;
DROP TABLE turns;
DROP TABLE sessions;
DROP TABLE approvals;
