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
