-- Conversations that work for another one, what stands for their older turns, and who caused which cost.

-- +goose Up
ALTER TABLE sessions ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN task TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent <> '';

CREATE TABLE summaries (
  session TEXT NOT NULL REFERENCES sessions (id),
  upto    INTEGER NOT NULL,  -- number of the last turn that it stands for
  at      INTEGER NOT NULL,
  model   TEXT NOT NULL,
  text    TEXT NOT NULL,
  PRIMARY KEY (session, upto)
) STRICT;

ALTER TABLE usage ADD COLUMN channel TEXT NOT NULL DEFAULT '';
ALTER TABLE usage ADD COLUMN user TEXT NOT NULL DEFAULT '';  -- of a heartbeat its name
ALTER TABLE usage ADD COLUMN task TEXT NOT NULL DEFAULT '';  -- of the session, when the call was made
CREATE INDEX usage_task ON usage (task) WHERE task <> '';

-- +goose Down
DROP INDEX usage_task;
ALTER TABLE usage DROP COLUMN task;
ALTER TABLE usage DROP COLUMN user;
ALTER TABLE usage DROP COLUMN channel;
DROP TABLE summaries;
DROP INDEX sessions_parent;
ALTER TABLE sessions DROP COLUMN task;
ALTER TABLE sessions DROP COLUMN parent;
