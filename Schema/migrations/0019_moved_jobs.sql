-- Jobs that were moved to another shard: the second exception to "never deleted". A copy of all events, with the same
-- hashes, is in the other shard.

create table ledger.moved_job (
    job_id uuid not null,
    shard integer not null,
    sequence bigint not null,
    hash bytea not null,
    moved_at timestamptz not null default clock_timestamp(),
    moved_by text not null default session_user,
    constraint moved_job_pkey primary key (job_id),
    constraint moved_job_shard_range check (shard between 0 and 255),
    constraint moved_job_sequence_positive check (sequence > 0),
    constraint moved_job_hash_length check (octet_length(hash) = 32)
);
comment on table ledger.moved_job is 'The jobs that were moved from this shard. A job that has come back is in ledger.job, too.';
comment on column ledger.moved_job.shard is 'The shard to which the job was moved.';
comment on column ledger.moved_job.sequence is 'The last event of the job when it was moved.';
comment on column ledger.moved_job.hash is 'The hash of that event. It proves all earlier ones.';
comment on column ledger.moved_job.moved_by is 'The login that moved the job.';
grant select on ledger.moved_job to progress_ledger_service;

create or replace function ledger.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- One exception: ledger.retire_jobs() deletes the events of jobs that it has recorded as retired.
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
    -- The other one: ledger.move_job() deletes a job that it has recorded as moved, first its events, last the job.
    if tg_op = 'DELETE' and current_setting('ledger.moves_job', true) = 'on' then
        if tg_name in ('event_refuse_statement', 'job_head_refuse_statement', 'job_refuse_statement') then
            return null;
        end if;
        if tg_name in ('event_refuse_change', 'job_head_refuse_deletion') and exists (
            select from ledger.moved_job as moved
            join ledger.job_head as head on head.job_id = moved.job_id and head.hash = moved.hash
            where moved.job_id = old.job_id and moved.xmin = pg_current_xact_id()::xid
        ) then
            return old;
        end if;
        if tg_name = 'job_refuse_deletion'
            and exists (
                select from ledger.moved_job as moved
                where moved.job_id = old.job_id and moved.xmin = pg_current_xact_id()::xid
            )
            and not exists (select from ledger.job_head as head where head.job_id = old.job_id)
        then
            return old;
        end if;
    end if;
    raise exception '% on %.% is refused: the ledger is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'LG001',
            hint = 'Nothing in the ledger is ever changed. To remove old jobs, run progress-ledger retire.';
end
$$;

-- The triggers for each statement do not see which jobs are deleted.
create trigger job_refuse_deletion before delete on ledger.job
    for each row execute function ledger.refuse_change();
alter table ledger.job enable always trigger job_refuse_deletion;
create trigger job_head_refuse_deletion before delete on ledger.job_head
    for each row execute function ledger.refuse_change();
alter table ledger.job_head enable always trigger job_head_refuse_deletion;

-- Without "security definer": only the owner of the ledger has the privileges that it needs.
create function ledger.move_job(moved uuid, at_sequence bigint, at_hash bytea, to_shard integer) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    refusal text;
begin
    -- The same order of locks as in appends and steps of the projection.
    perform from ledger.job_head where job_id = moved for update;
    perform from ledger.snapshot where job_id = moved order by projection for update;
    -- A replay that starts later does not find the job.
    lock table ledger.replay in share row exclusive mode;
    if exists (select from ledger.replay where state in ('running', 'canceling', 'reverting')) then
        raise exception 'a replay is in progress: wait for it, or cancel it' using errcode = 'LG005';
    end if;
    select case
        when head.job_id is null then 'does not exist'
        when head.retired_hash is not null then 'was retired'
        when head.sequence <> at_sequence or head.hash <> at_hash then 'has other events than its copy'
        when snapshot.sequence is distinct from head.sequence
            then 'has events that are not folded yet: check that a worker is running'
        when exists (select from ledger.replay where replay.job_id = moved) then 'shows the progress of a replay'
    end into refusal
    from (select) as once
    left join ledger.job_head as head on head.job_id = moved
    left join ledger.snapshot on snapshot.job_id = moved and snapshot.is_live;
    if refusal is not null then
        raise exception 'job % %', moved, refusal using errcode = 'LG005';
    end if;
    insert into ledger.moved_job as present (job_id, shard, sequence, hash)
    values (moved, to_shard, at_sequence, at_hash)
    on conflict (job_id) do update set
        shard = excluded.shard, sequence = excluded.sequence, hash = excluded.hash, moved_at = clock_timestamp(),
        moved_by = session_user;
    -- Its key stays taken.
    insert into ledger.job_key (key, job_id)
    select job.key, job.job_id from ledger.job where job.job_id = moved and job.key is not null
    on conflict (key) do nothing;
    -- A replay that was applied earlier can still be reverted for the other jobs.
    update ledger.replay_job set state = 'skipped', detail = 'the job was moved to another shard'
    where job_id = moved and state <> 'skipped'
        and replay in (select job_id from ledger.replay where keeps);
    delete from ledger.replay_difference where job_id = moved;
    delete from ledger.stuck_job where job_id = moved;
    delete from ledger.discard where job_id = moved;
    delete from ledger.report_page where job_id = moved;
    delete from ledger.execution where job_id = moved;
    delete from ledger.task where job_id = moved;
    delete from ledger.indicator where job_id = moved;
    delete from ledger.snapshot where job_id = moved;
    delete from ledger.run_summary where job_id = moved;
    delete from ledger.noticed_stall where job_id = moved;
    delete from ledger.notification_floor where job_id = moved;
    delete from ledger.delivery where job_id = moved;
    -- The triggers also require the record above.
    perform set_config('ledger.moves_job', 'on', true);
    delete from ledger.event where job_id = moved;
    delete from ledger.job_head where job_id = moved;
    delete from ledger.job where job_id = moved;
    perform set_config('ledger.moves_job', 'off', true);
end
$$;
comment on function ledger.move_job(uuid, bigint, bytea, integer) is 'Records a job as moved to another shard, and deletes it here. For the owner of the ledger, once the other shard has prepared the copy.';
revoke all on function ledger.move_job(uuid, bigint, bytea, integer) from public;
