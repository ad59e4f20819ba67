-- Which heartbeats a user turned on or off, and each of their beats.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
