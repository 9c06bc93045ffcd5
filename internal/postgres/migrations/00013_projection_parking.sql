-- +goose Up

-- Events that a build has not folded into a row: the first of a row failed, those after it wait. A build with parked rows in a partition goes by
-- itself there, so its checkpoint is in projection_checkpoint, and moves in the transactions that change these.
create table daybook.projection_parked (
    build     bigint not null references daybook.projection_build on delete cascade,
    part      int not null,
    key       text not null collate "C",
    suffix    text not null collate "C",
    whole     boolean not null, -- everything of the key: which rows the events are about is not known
    position  bigint not null,
    stream    text not null,
    type      text not null,
    error     text, -- null: it waits
    parked_at timestamptz not null default now(),
    primary key (build, part, key, suffix, whole, position)
);

-- +goose Down
drop table daybook.projection_parked;
