-- Retirement also removes what the notifications of a job left behind.

-- Without "security definer": only the owner of the ledger has the privileges that it needs.
create or replace function ledger.retire_jobs(
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
    delete from ledger.noticed_stall where job_id = any (jobs);
    -- A retired job gets no event, and its projection is never folded again.
    delete from ledger.notification_floor where job_id = any (jobs);
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

delete from ledger.notification_floor as floor
using ledger.job_head as head
where head.job_id = floor.job_id and head.retired_hash is not null;
delete from ledger.noticed_stall as stall
using ledger.job_head as head
where head.job_id = stall.job_id and head.retired_hash is not null;
