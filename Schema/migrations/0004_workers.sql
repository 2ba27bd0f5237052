-- Who works on the projections, and what they cannot get done: for those who look after the ledger.

create table ledger.worker (
    worker text not null,
    host text not null,
    process integer not null,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    folded_at timestamptz,
    failed_at timestamptz,
    folded_events bigint not null default 0,
    steps bigint not null default 0,
    failures bigint not null default 0,
    pending_jobs bigint not null default 0,
    error_state text,
    error text,
    constraint worker_pkey primary key (worker)
) with (fillfactor = 50);
comment on table ledger.worker is 'The projection workers: each says every few seconds that it lives, and goes when it ends as it should.';
comment on column ledger.worker.worker is 'Its instance: another one each time that a process starts.';
comment on column ledger.worker.seen_at is 'When it last said so, by the database''s clock.';
comment on column ledger.worker.folded_at is 'When it last stored a step.';
comment on column ledger.worker.error_state is 'The SQLSTATE of its last error, where PostgreSQL gave one.';

create table ledger.stuck_job (
    job_id uuid not null,
    since timestamptz not null default clock_timestamp(),
    failed_at timestamptz not null default clock_timestamp(),
    failures bigint not null default 1,
    worker text not null,
    error_state text,
    error text not null,
    constraint stuck_job_pkey primary key (job_id),
    constraint stuck_job_job_fkey foreign key (job_id) references ledger.job (job_id)
);
comment on table ledger.stuck_job is 'Jobs whose events could not be folded when last tried, and why. They are tried again; what succeeds goes from here.';

grant select, insert, update, delete on ledger.worker, ledger.stuck_job to progress_ledger_service;
