-- Replays: projections that are built anew from the events beside the live ones, compared with them, and, where that is
-- wanted, put in their place.

create table ledger.replay (
    job_id uuid not null,
    only_job uuid,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    applies boolean not null,
    keeps boolean not null default false,
    policy text not null,
    state text not null default 'running',
    error text,
    constraint replay_pkey primary key (job_id),
    constraint replay_job_fkey foreign key (job_id) references ledger.job (job_id),
    constraint replay_only_job_fkey foreign key (only_job) references ledger.job (job_id),
    constraint replay_policy_known check (policy in ('last', 'last_successful', 'all')),
    constraint replay_applies_what_is_kept check (policy = 'last' or not applies),
    constraint replay_state_known check (
        state in ('running', 'canceling', 'applied', 'reverting', 'done', 'reverted', 'canceled', 'failed')
    )
);
comment on table ledger.replay is 'Every replay there was. A replay is a job of the ledger itself, which tells how far it is.';
comment on column ledger.replay.job_id is 'The job that tells how far it is: also the replay''s own id.';
comment on column ledger.replay.only_job is 'The one job that is replayed; null for all.';
comment on column ledger.replay.applies is 'Whether what is built takes the place of the live projections.';
comment on column ledger.replay.keeps is 'Whether the projections that are not live are kept, so that it can be reverted or applied once more.';
create unique index replay_under_way on ledger.replay ((true))
    where state in ('running', 'canceling', 'reverting');
comment on index ledger.replay_under_way is 'One at a time.';

create table ledger.replay_job (
    replay uuid not null,
    job_id uuid not null,
    events bigint not null,
    difference_count bigint not null default 0,
    batch integer not null,
    previous smallint not null,
    projection smallint not null,
    state text not null default 'pending',
    detail text,
    constraint replay_job_pkey primary key (replay, job_id),
    constraint replay_job_replay_fkey foreign key (replay) references ledger.replay (job_id),
    constraint replay_job_state_known check (state in ('pending', 'building', 'compared', 'skipped')),
    constraint replay_job_builds_another check (projection <> previous)
) with (fillfactor = 70);
comment on table ledger.replay_job is 'The jobs of a replay.';
comment on column ledger.replay_job.events is 'How many events the live projection held when the replay began.';
comment on column ledger.replay_job.batch is 'Jobs are replayed in batches of some 200,000 events; a larger job is a batch of its own.';
comment on column ledger.replay_job.previous is 'The projection that was live when the replay began.';
comment on column ledger.replay_job.projection is 'The projection that is built.';
comment on column ledger.replay_job.detail is 'Why it was skipped.';
create index replay_job_by_job on ledger.replay_job (job_id, replay);
create index replay_job_open on ledger.replay_job (replay, batch) where state in ('pending', 'building');

create table ledger.replay_difference (
    replay uuid not null,
    job_id uuid not null,
    number integer not null,
    part text not null,
    key text not null,
    live text,
    replayed text,
    constraint replay_difference_pkey primary key (replay, job_id, number),
    constraint replay_difference_replay_fkey foreign key (replay) references ledger.replay (job_id)
);
comment on table ledger.replay_difference is 'Where a live projection is not what its events amount to: the first hundred of each job.';
comment on column ledger.replay_difference.part is 'What differs: the snapshot, an indicator, a task, an execution, a page of reports or a discarded event.';
comment on column ledger.replay_difference.live is 'What the live projection says; null where it lacks it.';
comment on column ledger.replay_difference.replayed is 'What the events say; null where they say nothing of it.';

grant select, insert, update, delete on ledger.replay, ledger.replay_job, ledger.replay_difference
    to progress_ledger_service;
