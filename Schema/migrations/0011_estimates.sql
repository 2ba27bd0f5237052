-- Estimates of the remaining time: the state that they are computed from, and the summaries of completed jobs.

-- Existing projections have no state; a worker builds it from their events. New ones begin with an empty one.
alter table ledger.snapshot add column estimate bytea, add column is_estimated boolean not null default false;
alter table ledger.snapshot alter column is_estimated set default true;
comment on column ledger.snapshot.estimate is 'The state that estimates are computed from, encoded by EstimateState.encoded in the sources. Null until it is built.';
comment on column ledger.snapshot.is_estimated is 'Whether the state is present, or, for a completed job, its summary.';
create index snapshot_to_estimate on ledger.snapshot (job_id) where is_live and not is_estimated;
comment on index ledger.snapshot_to_estimate is 'The jobs for which a state or a summary is to be built.';

create table ledger.run_summary (
    job_id uuid not null,
    sequence bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    reopened_at timestamptz,
    estimates bigint not null,
    logarithmic_error double precision,
    coverage_p90 double precision,
    coverage_p10 double precision,
    ended_inside boolean,
    version smallint not null,
    history text not null,
    summary bytea not null,
    constraint run_summary_pkey primary key (job_id, sequence),
    constraint run_summary_job_fkey foreign key (job_id) references ledger.job (job_id),
    constraint run_summary_sequence_positive check (sequence > 0),
    constraint run_summary_times_ordered check (finished_at >= started_at and reopened_at >= finished_at),
    constraint run_summary_scored check (
        estimates >= 0 and (estimates > 0) = (
            logarithmic_error is not null and coverage_p90 is not null and coverage_p10 is not null
            and ended_inside is not null
        )
    )
);
comment on table ledger.run_summary is 'What completed jobs teach later jobs of the same name, and how good their own estimates were. Kept when a job is retired.';
comment on column ledger.run_summary.sequence is 'The job_finished event. Each end of a job that was reopened has its own summary.';
comment on column ledger.run_summary.reopened_at is 'The time from which on the summary no longer counts; null while the job stays completed.';
comment on column ledger.run_summary.estimates is 'The number of moments at which an estimate was compared with the end.';
comment on column ledger.run_summary.logarithmic_error is 'The median of |ln(estimated / true remaining time)|.';
comment on column ledger.run_summary.coverage_p90 is 'The share of moments at which the job ended before p90.';
comment on column ledger.run_summary.coverage_p10 is 'The share of moments at which the job ended after p10.';
comment on column ledger.run_summary.ended_inside is 'Whether the job ended within the interval given at half of its duration.';
comment on column ledger.run_summary.version is 'The version of the rules and of the encoding.';
comment on column ledger.run_summary.history is 'The group of jobs that learn from each other: the name, or the tag ledger.history.';
comment on column ledger.run_summary.summary is 'The durations and units of the job, encoded by RunSummary.encoded in the sources.';
create index run_summary_by_history on ledger.run_summary (history, finished_at desc, job_id desc);

grant select, insert, update on ledger.run_summary to progress_ledger_service;
