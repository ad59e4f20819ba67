-- The pictures of results, apart from the turns and approvals that name them: a conversation is read
-- often and whole, a picture is large and of use for a while.

-- +goose Up
CREATE TABLE pictures (
  call    TEXT NOT NULL,
  n       INTEGER NOT NULL,
  session TEXT NOT NULL,
  data    BLOB NOT NULL,
  UNIQUE (call, n)
) STRICT;
CREATE INDEX pictures_session ON pictures (session);
