-- +goose Up

-- How far the relay has come: one row, which never moves back. Everything up to position is in Kafka; last holds,
-- for each partition, the position of its last event up to there. epoch counts the relays that took over: an older
-- one can no longer write.
create table daybook.relay (
    only_row     boolean primary key default true check (only_row),
    position     bigint not null check (position >= 0),
    last         bigint[] not null,
    partitions   integer not null check (partitions > 0),
    incarnation  text not null,
    caught_up_at timestamptz,
    epoch        bigint not null default 0,
    check (cardinality(last) = partitions)
);

-- +goose Down
drop table daybook.relay;
