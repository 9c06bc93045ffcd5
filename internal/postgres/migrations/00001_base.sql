-- +goose Up

-- Fingerprints of the installation's keys: a process that has others must not start.
create table daybook.fingerprint (
    name    text primary key,
    value   bytea not null,
    made_at timestamptz not null default now()
);
