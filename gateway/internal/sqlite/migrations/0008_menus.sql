-- Messages with buttons: what they show is read when they are shown.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
