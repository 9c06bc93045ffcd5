-- +goose Up

-- A completed instance may be reopened by events that were recorded until then; null: it may not. Until then it counts as running where
-- versions are checked.
alter table daybook.saga_instance add column reopens_until timestamptz;
create index saga_instance_reopens on daybook.saga_instance (reopens_until) where reopens_until is not null;

-- +goose Down
alter table daybook.saga_instance drop column reopens_until;
