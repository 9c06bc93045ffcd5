-- +goose Up

-- Checkpoints of sagas and of reactors have one shape. filter is the number of the rule that says what is relayed: positions and chains of
-- another one do not count. No program has filter 0: a row that states none is of none.
alter table daybook.saga_checkpoint rename column saga to name;
alter table daybook.reactor_checkpoint rename column reactor to name;

alter table daybook.saga_checkpoint add column filter int not null default 0;
alter table daybook.reactor_checkpoint add column filter int not null default 0;
alter table daybook.projection_build add column filter int not null default 0;
alter table daybook.relay add column filter int not null default 0;

-- What a failing intent is called by.
alter table daybook.reactor_waiting add column position bigint not null default 0;
alter table daybook.reactor_waiting add column type text not null default '';

-- +goose Down
alter table daybook.reactor_waiting drop column type;
alter table daybook.reactor_waiting drop column position;
alter table daybook.relay drop column filter;
alter table daybook.projection_build drop column filter;
alter table daybook.reactor_checkpoint drop column filter;
alter table daybook.saga_checkpoint drop column filter;
alter table daybook.reactor_checkpoint rename column name to reactor;
alter table daybook.saga_checkpoint rename column name to saga;
