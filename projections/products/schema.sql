create table products (
    like engine,
    name      text  not null,
    prices    jsonb,
    tax_class text  not null,
    status    text  not null
);
