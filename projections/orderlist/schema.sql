create table order_list (
    like engine,
    number        text        not null,
    status        text        not null,
    status_before text        not null,
    total         bigint      not null,
    currency      text        not null,
    placed_at     timestamptz not null,
    country       text        not null,
    customer_id   text        not null
);
create index on order_list (placed_at desc, key desc);
create index on order_list (status, placed_at desc, key desc);
create index on order_list (customer_id, placed_at desc, key desc);
create index on order_list_history (status, placed_at desc, key desc);
create index on order_list_history (customer_id, placed_at desc, key desc);
create index on order_list_history (placed_at desc, key desc);
comment on table order_list is 'Orders as lists show them, one row each.';
comment on column order_list.number is 'The order number that the buyer sees.';
comment on column order_list.status is 'Status of the order.';
comment on column order_list.status_before is 'Status before the present one.';
comment on column order_list.total is 'What the buyer pays, in minor units.';
comment on column order_list.currency is 'ISO 4217 code of the total.';
comment on column order_list.placed_at is 'When the order was placed.';
comment on column order_list.country is 'Country of delivery, ISO 3166-1 alpha-2.';
comment on column order_list.customer_id is 'Id of the customer; empty for a guest.';
