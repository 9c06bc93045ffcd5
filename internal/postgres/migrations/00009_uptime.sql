-- +goose Up

-- Up to when everything recorded in each partition had reached those who could answer it. One row, an array by partition.
create table daybook.uptime (
    only_row     boolean primary key default true check (only_row),
    since        timestamptz   not null, -- nothing is known of the time before
    caught_up_at timestamptz[] not null
);

-- Spans of time in which a partition was not caught up for longer than normal work takes.
create table daybook.outage (
    id        bigint generated always as identity primary key,
    partition int         not null,
    began     timestamptz not null,
    ended     timestamptz not null
);
create index on daybook.outage (ended);

-- +goose Down
drop table daybook.outage;
drop table daybook.uptime;
