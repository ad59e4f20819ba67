-- What is kept beyond a conversation.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
