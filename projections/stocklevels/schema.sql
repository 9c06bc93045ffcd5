create table stock_levels (
    like engine,
    location text   not null,
    on_hand  bigint not null,
    reserved bigint not null,
    safety   bigint not null
);
