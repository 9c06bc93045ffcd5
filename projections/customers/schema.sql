create table customers (
    like engine,
    contact       jsonb       not null,
    country       text        not null,
    status        text        not null,
    recorded      boolean     not null,
    registered_at timestamptz not null
);
comment on table customers is 'Customers, one row each.';
comment on column customers.contact is 'Name, e-mail and telephone number, sealed: only the API can open them.';
comment on column customers.country is 'Country of residence, ISO 3166-1 alpha-2.';
comment on column customers.status is 'active or erased.';
comment on column customers.recorded is 'Whether the customer was recorded by an import.';
comment on column customers.registered_at is 'When the customer registered.';
