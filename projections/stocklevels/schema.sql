create table stock_levels (
    like engine,
    location text   not null,
    on_hand  bigint not null,
    reserved bigint not null,
    safety   bigint not null
);
comment on table stock_levels is 'Stock, one row per SKU.';
comment on column stock_levels.location is 'Where the stock is.';
comment on column stock_levels.on_hand is 'Units on hand.';
comment on column stock_levels.reserved is 'Units reserved for orders.';
comment on column stock_levels.safety is 'Units that are kept back.';
