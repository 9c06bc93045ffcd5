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
comment on table sales_by_product is 'Movements of the lines of each order, for sums by product.';
comment on column sales_by_product.kind is 'order, line, cancellation or return.';
comment on column sales_by_product.counted is 'Whether an order counts: it does once confirmed.';
comment on column sales_by_product.at is 'Business time of the movement.';
comment on column sales_by_product.currency is 'ISO 4217 code of an order.';
comment on column sales_by_product.line is 'Number of the line.';
comment on column sales_by_product.sku is 'SKU of the line.';
comment on column sales_by_product.units is 'Units moved.';
comment on column sales_by_product.price is 'Price of one unit, in minor units.';
comment on column sales_by_product.amount is 'Amount in minor units.';
comment on column sales_by_product.discount is 'Discount on the line, in minor units.';
comment on column sales_by_product.tax is 'Tax on top of the price of the line, in minor units.';
comment on column sales_by_product.total is 'Total of the line, in minor units.';
