create table customers (
    like engine,
    contact       jsonb       not null,
    country       text        not null,
    status        text        not null,
    recorded      boolean     not null,
    registered_at timestamptz not null
);
