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
