-- +goose Up

-- What the view for people shows: null until there is one.
alter table daybook.projection_pointer add column shown text;

-- +goose Down
alter table daybook.projection_pointer drop column shown;
