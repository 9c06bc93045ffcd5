-- +goose Up

-- A build is one run of one version of a projection's code over the log, in a schema of its own.
create table daybook.projection_build (
    id          bigint generated always as identity primary key,
    projection  text not null,
    version     int not null,
    schema_name text not null unique,
    partitions  int not null,
    incarnation text not null,
    fingerprint text not null, -- of its tables: they must not change without a new version
    made_at     timestamptz not null default now()
);
create index on daybook.projection_build (projection, version, id desc);

-- Everything up to position has been applied to the build's rows of this partition, in the same transaction.
create table daybook.projection_checkpoint (
    build       bigint not null references daybook.projection_build,
    part        int not null,
    position    bigint not null default 0,
    recorded_at timestamptz, -- of the event there; null at 0
    primary key (build, part)
) with (fillfactor = 30);

-- Which build serves.
create table daybook.projection_pointer (
    projection text primary key,
    build      bigint not null references daybook.projection_build,
    flipped_at timestamptz not null default now()
);

-- +goose Down
drop table daybook.projection_pointer;
drop table daybook.projection_checkpoint;
drop table daybook.projection_build;
