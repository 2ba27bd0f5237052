-- Retirement: the one exception to "never deleted". The events of a job that has ended are exported, recorded as retired,
-- and removed. The job and its head stay.

create table ledger.retirement (
    job_id uuid not null,
    sequence bigint not null,
    hash bytea not null,
    export_sha256 bytea not null,
    export_place text not null,
    state text not null,
    finished_at timestamptz,
    retired_at timestamptz not null default clock_timestamp(),
    retired_by text not null default session_user,
    constraint retirement_pkey primary key (job_id),
    constraint retirement_job_fkey foreign key (job_id) references ledger.job (job_id),
    constraint retirement_sequence_positive check (sequence > 0),
    constraint retirement_hash_length check (octet_length(hash) = 32),
    constraint retirement_export_sha256_length check (octet_length(export_sha256) = 32),
    constraint retirement_export_place_length check (char_length(export_place) between 1 and 2000),
    constraint retirement_state_ended check (state in ('completed', 'failed', 'canceled'))
);
comment on table ledger.retirement is 'The retired jobs. Their events are in exports, and no longer in the ledger.';
comment on column ledger.retirement.sequence is 'The last event of the job, which its head names.';
comment on column ledger.retirement.hash is 'The hash of that event. It proves all earlier ones.';
comment on column ledger.retirement.export_sha256 is 'SHA-256 of the file that contains the events.';
comment on column ledger.retirement.export_place is 'The place of that file: a path or a URL.';
comment on column ledger.retirement.state is 'The state in which the job ended.';
comment on column ledger.retirement.retired_by is 'The login that retired the job.';

-- The mark in the head makes every append to a retired job fail, and costs readers no other lookup.
alter table ledger.job_head
    add column retired_hash bytea,
    add constraint job_head_retired check (retired_hash = hash);
comment on column ledger.job_head.retired_hash is 'The hash at which the job was retired; null if it was not. A retired head cannot move.';

alter table ledger.replay add column retired_jobs bigint not null default 0;
comment on column ledger.replay.retired_jobs is 'The number of retired jobs when the replay began. They have no events to replay.';

alter table ledger.snapshot add column fold_version smallint not null default 1;
comment on column ledger.snapshot.fold_version is 'The version of the fold that wrote the projection. Workers with another one leave it alone.';
alter table ledger.replay add column fold_version smallint not null default 1;
comment on column ledger.replay.fold_version is 'The version of the fold that builds the projections. Workers with another one leave the replay alone.';

grant select on ledger.retirement to progress_ledger_service;

create trigger retirement_refuse_statement before update or delete or truncate on ledger.retirement
    for each statement execute function ledger.refuse_change();
alter table ledger.retirement enable always trigger retirement_refuse_statement;

create or replace function ledger.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- The one exception: ledger.retire_jobs() deletes the events of jobs that it has recorded as retired.
    if tg_op = 'DELETE' and current_setting('ledger.retires_jobs', true) = 'on' then
        if tg_name = 'event_refuse_statement' then
            return null;
        end if;
        if tg_name = 'event_refuse_change' and exists (
            select from ledger.retirement
            join ledger.job_head as head on head.job_id = retirement.job_id and head.hash = retirement.hash
            where retirement.job_id = old.job_id and head.retired_hash = retirement.hash
        ) then
            return old;
        end if;
    end if;
    raise exception '% on %.% is refused: the ledger is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'LG001',
            hint = 'Nothing in the ledger is ever changed. To remove old jobs, run progress-ledger retire.';
end
$$;

-- Without "security definer": only the owner of the ledger has the privileges that it needs.
create function ledger.retire_jobs(
    jobs uuid[], sequences bigint[], hashes bytea[], sha256 bytea, place text, deletes_events boolean
) returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    refusal text;
begin
    -- The same order of locks as in appends and steps of the projection.
    perform from ledger.job_head where job_id = any (jobs) order by job_id for update;
    perform from ledger.snapshot where job_id = any (jobs) order by job_id, projection for update;
    -- A replay that starts later finds the heads marked.
    lock table ledger.replay in share row exclusive mode;
    if exists (select from ledger.replay where state in ('running', 'canceling', 'reverting')) then
        raise exception 'a replay is in progress: wait for it, or cancel it' using errcode = 'LG005';
    end if;
    select format('job %s %s', exported.job_id, reason) into refusal
    from unnest(jobs, sequences, hashes) as exported (job_id, sequence, hash)
    left join ledger.job_head as head on head.job_id = exported.job_id
    left join ledger.snapshot on snapshot.job_id = exported.job_id and snapshot.is_live
    cross join lateral (
        select case
            when head.job_id is null then 'does not exist'
            when head.retired_hash is not null then 'is retired already'
            when head.sequence <> exported.sequence or head.hash <> exported.hash
                then 'has other events than its export: export it again'
            when snapshot.sequence is distinct from head.sequence
                then 'has events that are not folded yet: check that a worker is running'
            when snapshot.state = 'running' then 'is running'
        end as reason
    ) as checked
    where reason is not null
    order by exported.job_id
    limit 1;
    if refusal is not null then
        raise exception '%', refusal using errcode = 'LG005';
    end if;
    insert into ledger.retirement (job_id, sequence, hash, export_sha256, export_place, state, finished_at)
    select head.job_id, head.sequence, head.hash, sha256, place, snapshot.state, snapshot.finished_at
    from ledger.job_head as head
    join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
    where head.job_id = any (jobs);
    update ledger.job_head set retired_hash = hash where job_id = any (jobs);
    -- A replay that was applied earlier can still be reverted for the other jobs.
    update ledger.replay_job set state = 'skipped', detail = 'the job was retired'
    where job_id = any (jobs) and state <> 'skipped'
        and replay in (select job_id from ledger.replay where keeps);
    delete from ledger.replay_difference where job_id = any (jobs);
    delete from ledger.stuck_job where job_id = any (jobs);
    delete from ledger.discard where job_id = any (jobs);
    delete from ledger.report_page where job_id = any (jobs);
    delete from ledger.execution where job_id = any (jobs);
    delete from ledger.task where job_id = any (jobs);
    delete from ledger.indicator where job_id = any (jobs);
    delete from ledger.snapshot where job_id = any (jobs) and not is_live;
    -- The live snapshot is replaced by one that shows only that the job has ended. Its number differs, so that clients
    -- notice the change.
    with deleted as (
        delete from ledger.snapshot where job_id = any (jobs) returning job_id, projection, fold_version
    )
    insert into ledger.snapshot (job_id, sequence, created_at, updated_at, finished_at, state, projection, fold_version)
    select
        deleted.job_id, retirement.sequence, job.created_at, retirement.finished_at, retirement.finished_at,
        retirement.state, deleted.projection % 32767 + 1, deleted.fold_version
    from deleted
    join ledger.retirement on retirement.job_id = deleted.job_id
    join ledger.job on job.job_id = deleted.job_id;
    if deletes_events then
        -- The triggers of the event table also require the records above.
        perform set_config('ledger.retires_jobs', 'on', true);
        delete from ledger.event where job_id = any (jobs);
        perform set_config('ledger.retires_jobs', 'off', true);
    end if;
    return cardinality(jobs);
end
$$;
comment on function ledger.retire_jobs(uuid[], bigint[], bytea[], bytea, text, boolean) is 'Records ended jobs as retired, and deletes their projections and, if wanted, their events. For the owner of the ledger.';
revoke all on function ledger.retire_jobs(uuid[], bigint[], bytea[], bytea, text, boolean) from public;
