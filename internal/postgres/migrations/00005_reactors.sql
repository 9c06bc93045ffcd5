-- +goose Up

-- How far each reactor has read each partition. Made beforehand, moved by compare-and-set.
create table daybook.reactor_checkpoint (
    reactor     text    not null,
    partition   int     not null,
    partitions  int     not null, -- of the topic when the row was made
    incarnation text    not null, -- of the event store
    position    bigint  not null,
    primary key (reactor, partition)
);

-- Open intents: what has been asked for and has no outcome yet, and when to attend to it next.
create table daybook.reactor_waiting (
    reactor     text        not null,
    intent      uuid        not null, -- the event
    partition   int         not null,
    stream      text        not null,
    revision    bigint      not null,
    recorded_at timestamptz not null, -- of the event
    opened_at   timestamptz not null, -- of this row
    due_at      timestamptz not null,
    tries       int         not null default 0,
    wakes       int         not null default 0, -- how often an event has made it due at once
    memo        jsonb,                          -- the reactor's own
    primary key (reactor, intent)
);
create index on daybook.reactor_waiting (partition, due_at);
create index on daybook.reactor_waiting (stream);

-- +goose Down
drop table daybook.reactor_waiting;
drop table daybook.reactor_checkpoint;
