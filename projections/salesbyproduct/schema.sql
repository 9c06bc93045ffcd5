create table sales_by_product (
    like engine,
    kind     text        not null,
    counted  boolean     not null,
    at       timestamptz not null,
    currency text        not null,
    line     integer     not null,
    sku      text        not null,
    units    bigint      not null,
    price    bigint      not null,
    amount   bigint      not null,
    discount bigint      not null,
    tax      bigint      not null,
    total    bigint      not null
);
create index on sales_by_product (kind, at);
create index on sales_by_product_history (kind, at);
