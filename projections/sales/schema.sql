create table sales (
    like engine,
    kind     text        not null,
    counted  boolean     not null,
    at       timestamptz not null,
    currency text        not null,
    country  text        not null,
    units    bigint      not null,
    goods    bigint      not null,
    discount bigint      not null,
    shipping bigint      not null,
    tax_included bigint  not null,
    tax_added bigint     not null,
    total    bigint      not null,
    amount   bigint      not null
);
create index on sales (kind, at);
create index on sales_history (kind, at);
