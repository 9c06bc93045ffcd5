-- +goose Up

-- How far each saga has heard each partition. It moves by compare-and-set only.
create table daybook.saga_checkpoint (
    saga        text   not null,
    partition   int    not null,
    position    bigint not null,
    partitions  int    not null, -- of the topic, when the row was made
    incarnation text   not null,
    primary key (saga, partition)
);

-- What each instance waits for: a function of its stream at a revision. A row is replaced by one of a higher revision
-- only; due_at and error alone may change at the same one.
create table daybook.saga_instance (
    instance   text primary key, -- its stream
    saga       text        not null,
    key        text        not null,
    partition  int         not null, -- whose owner runs its effects
    revision   bigint      not null, -- events in the stream
    version    int         not null, -- of the definition
    phase      text        not null,
    step       text        not null,
    failure    text        not null, -- why it is being undone
    stuck      text        not null,
    waiting    jsonb       not null, -- commands without an answer, and timers
    due_at     timestamptz,          -- when to look at it next; null: nothing is owed
    error      text        not null default '',
    started_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 80);

create index saga_instance_due on daybook.saga_instance (partition, due_at) where due_at is not null;
create index saga_instance_open on daybook.saga_instance (saga, started_at) where phase in ('doing', 'undoing');
create index saga_instance_stuck on daybook.saga_instance (started_at) where stuck <> '';
create index saga_instance_key on daybook.saga_instance (key);

-- +goose Down
drop table daybook.saga_instance;
drop table daybook.saga_checkpoint;
