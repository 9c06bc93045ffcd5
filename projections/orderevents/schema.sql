create table order_events (
    like engine,
    stream          text        not null,
    stream_revision bigint      not null,
    type            text        not null,
    at              timestamptz not null,
    recorded_at     timestamptz not null,
    actor_kind      text        not null,
    actor_id        text        not null,
    command         text        not null,
    causation_id    text        not null,
    reason          jsonb,
    summary         text        not null
);
comment on table order_events is 'The timeline of each order, one row per event.';
comment on column order_events.stream is 'Stream of the event.';
comment on column order_events.stream_revision is 'Revision of the event in its stream.';
comment on column order_events.type is 'Type of the event.';
comment on column order_events.at is 'Business time of the event.';
comment on column order_events.recorded_at is 'When the event was recorded.';
comment on column order_events.actor_kind is 'Kind of actor: user, service, saga, operator or import.';
comment on column order_events.actor_id is 'Id of the actor.';
comment on column order_events.command is 'Name of the command that led to the event.';
comment on column order_events.causation_id is 'Id of the command or event that led to it.';
comment on column order_events.reason is 'The reason given, sealed; null if there is none.';
comment on column order_events.summary is 'The event in a few words.';
