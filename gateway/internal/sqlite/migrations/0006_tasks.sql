-- Requests that take several steps, and how far they are.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
