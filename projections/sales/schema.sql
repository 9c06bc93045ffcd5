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
comment on table sales is 'Movements of each order: its sale, and what was cancelled, returned or refunded later.';
comment on column sales.kind is 'sale, cancellation, return or refund.';
comment on column sales.counted is 'Whether a sale counts: it does once its order is confirmed.';
comment on column sales.at is 'Business time of the movement.';
comment on column sales.currency is 'ISO 4217 code of a sale.';
comment on column sales.country is 'Country of delivery of a sale, ISO 3166-1 alpha-2.';
comment on column sales.units is 'Units moved.';
comment on column sales.goods is 'Price of the goods of a sale, in minor units.';
comment on column sales.discount is 'Discount on the goods of a sale, in minor units.';
comment on column sales.tax_included is 'Tax that the prices of a sale include, in minor units.';
comment on column sales.tax_added is 'Tax on top of the prices of a sale, in minor units.';
comment on column sales.shipping is 'Price of the shipping of a sale, in minor units.';
comment on column sales.total is 'Total of a sale, in minor units.';
comment on column sales.amount is 'Amount of a refund, in minor units.';
