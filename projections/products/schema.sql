create table products (
    like engine,
    name      text  not null,
    prices    jsonb,
    tax_class text  not null,
    status    text  not null
);
comment on table products is 'Products, one row each.';
comment on column products.name is 'Name of the product.';
comment on column products.prices is 'Price in minor units by currency.';
comment on column products.tax_class is 'Tax class of the product.';
comment on column products.status is 'Whether the product can be ordered.';
