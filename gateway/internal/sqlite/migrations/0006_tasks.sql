-- Requests that take several steps, and how far they are.

-- +goose Up
CREATE TABLE tasks (
  seq     INTEGER PRIMARY KEY,  -- order of their plans
  id      TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES sessions (id),
  channel TEXT NOT NULL,
  message TEXT NOT NULL,  -- the message that it answers now
  state   TEXT NOT NULL CHECK (state IN ('open','done','limit','paused','failed','stopped')),
  task_json TEXT NOT NULL  -- all but the above and what the usage table knows
) STRICT;
CREATE INDEX tasks_session ON tasks (session, seq);
CREATE INDEX tasks_message ON tasks (channel, message);

-- +goose Down
DROP TABLE tasks;
