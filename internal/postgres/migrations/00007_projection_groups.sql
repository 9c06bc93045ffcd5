-- +goose Up

-- Never given twice, so that a worker of an older group cannot take a newer one for its own.
create sequence daybook.projection_epoch;

-- The checkpoint that builds have in common. A build belongs to a partition's group as long as it has no checkpoint of its
-- own there. epoch changes whenever a build leaves or joins.
create table daybook.projection_group (
    part        int primary key,
    position    bigint not null default 0,
    recorded_at timestamptz, -- of the event there; null at 0
    epoch       bigint not null default nextval('daybook.projection_epoch')
) with (fillfactor = 30);

insert into daybook.projection_group (part, position, recorded_at)
select distinct on (part) part, position, recorded_at from daybook.projection_checkpoint order by part, position desc;

delete from daybook.projection_checkpoint c using daybook.projection_group g where c.part = g.part and c.position = g.position;

-- How far each build is in each partition, and whether it goes by itself there.
create view daybook.projection_progress as
select b.id as build, g.part, coalesce(c.position, g.position) as position,
       case when c.build is null then g.recorded_at else c.recorded_at end as recorded_at, c.build is not null as apart
from daybook.projection_build b
join daybook.projection_group g on g.part < b.partitions
left join daybook.projection_checkpoint c on c.build = b.id and c.part = g.part;

-- +goose Down
insert into daybook.projection_checkpoint (build, part, position, recorded_at)
select build, part, position, recorded_at from daybook.projection_progress where not apart;
drop view daybook.projection_progress;
drop table daybook.projection_group;
drop sequence daybook.projection_epoch;
