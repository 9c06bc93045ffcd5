-- +goose Up

-- The key of each subject's personal data, wrapped by a key-encryption key. The one thing in Postgres that cannot be
-- made again from the log. An erased subject keeps its row, without a key, so that it does not get another one.
create table daybook.personal_key (
    subject   text primary key,
    key_id    text not null,
    kek_id    text not null,
    wrapped   bytea,
    made_at   timestamptz not null default now(),
    erased_at timestamptz,
    check ((wrapped is null) = (erased_at is not null))
);
create unique index on daybook.personal_key (key_id);
create index on daybook.personal_key (kek_id) where wrapped is not null;
