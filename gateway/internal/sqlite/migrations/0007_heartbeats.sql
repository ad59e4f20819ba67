-- Which heartbeats a user turned on or off, and each of their beats.

-- +goose Up
CREATE TABLE heartbeats (
  name     TEXT PRIMARY KEY,
  toggled  INTEGER NOT NULL CHECK (toggled IN (0, 1)),  -- whether enabled is a user's word
  enabled  INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  live     INTEGER NOT NULL CHECK (live IN (0, 1)),     -- whether it was on when it was last looked at
  schedule TEXT NOT NULL,
  timezone TEXT NOT NULL,
  done     INTEGER NOT NULL  -- its times up to this one are dealt with
) STRICT;

CREATE TABLE beats (
  heartbeat TEXT NOT NULL,
  due       INTEGER NOT NULL,
  manual    INTEGER NOT NULL CHECK (manual IN (0, 1)),
  missed    INTEGER NOT NULL,
  started   INTEGER,
  ended     INTEGER,
  session   TEXT NOT NULL,     -- and the id of its message; empty when it was skipped
  handed    INTEGER NOT NULL DEFAULT 0 CHECK (handed IN (0, 1)),  -- whether its message is stored
  outcome   TEXT NOT NULL,     -- empty while it runs
  silent    INTEGER NOT NULL DEFAULT 0 CHECK (silent IN (0, 1)),
  note      TEXT NOT NULL,
  input       INTEGER NOT NULL DEFAULT 0,
  output      INTEGER NOT NULL DEFAULT 0,
  cache_read  INTEGER NOT NULL DEFAULT 0,
  cache_write INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (heartbeat, due, manual)  -- never twice
) STRICT;
CREATE UNIQUE INDEX beats_session ON beats (session) WHERE session <> '';
CREATE INDEX beats_open ON beats (heartbeat) WHERE outcome = '';

-- +goose Down
DROP TABLE beats;
DROP TABLE heartbeats;
