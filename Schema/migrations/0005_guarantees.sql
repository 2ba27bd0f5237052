-- Heads that cannot be removed, a bound on the partitions that imports may have made, and tables whose rows change all
-- the time and are vacuumed early.

-- Heads move, and are never removed: they say which jobs there are, and how far each one is.
create trigger job_head_refuse_statement before delete or truncate on ledger.job_head
    for each statement execute function ledger.refuse_change();
alter table ledger.job_head enable always trigger job_head_refuse_statement;

-- Partitions ---------------------------------------------------------------------------------------------------------

create table ledger.import_partition (
    month date not null,
    made_at timestamptz not null default clock_timestamp(),
    constraint import_partition_pkey primary key (month)
);
comment on table ledger.import_partition is 'Partitions that were made for imports of jobs of other months, and when: there is a bound per day.';
grant select on ledger.import_partition to progress_ledger_service;

-- The same function, with a bound for those who do not own the ledger: an id of a job names its month, and whoever may
-- import can write any id.
create or replace function ledger.make_event_partition(moment timestamptz) returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- "at time zone" so that a month begins where it does in UTC, whatever the session's time zone.
    first_day timestamptz := date_trunc('month', moment at time zone 'UTC') at time zone 'UTC';
    next_month timestamptz
        := (date_trunc('month', moment at time zone 'UTC') + interval '1 month') at time zone 'UTC';
    partition text := 'event_' || to_char(moment at time zone 'UTC', 'YYYY_MM');
    caller text := coalesce(nullif(current_setting('role'), 'none'), session_user::text);
    is_near boolean
        := moment between clock_timestamp() - interval '1 month' and clock_timestamp() + interval '25 months';
begin
    if moment not between '2000-01-01 00:00:00+00' and '2199-12-31 00:00:00+00' then
        raise exception 'no partition is made for %: check the clock of the server that creates jobs', moment
            using errcode = 'LG002';
    end if;
    if to_regclass('ledger.' || quote_ident(partition)) is not null then
        return false;
    end if;
    -- Two servers may want it at once; the second finds it made.
    perform pg_advisory_xact_lock(hashtextextended('ledger.make_event_partition', 0));
    if to_regclass('ledger.' || quote_ident(partition)) is not null then
        return false;
    end if;
    if not is_near and not pg_has_role(caller, current_user, 'MEMBER') then
        if moment not between '2020-01-01 00:00:00+00' and clock_timestamp() then
            raise exception 'no partition is made for % by an import', to_char(moment at time zone 'UTC', 'YYYY-MM')
                using errcode = 'LG002';
        end if;
        if (
            select count(*) from ledger.import_partition where made_at > clock_timestamp() - interval '1 day'
        ) >= 24 then
            raise exception
                'imports have had 24 partitions made within a day, and may not have that of % made',
                to_char(moment at time zone 'UTC', 'YYYY-MM')
                using errcode = 'LG003',
                    hint = format(
                        'Import it a day later, or let the owner run: select ledger.make_event_partition(%L)', first_day
                    );
        end if;
        insert into ledger.import_partition (month) values ((first_day at time zone 'UTC')::date)
        on conflict (month) do update set made_at = clock_timestamp();
    end if;
    -- Made apart and then attached, which does not lock out those who append; "partition of" would.
    execute format('create table ledger.%I (like ledger.event including all)', partition);
    execute format(
        'alter table ledger.event attach partition ledger.%I for values from (%L) to (%L)',
        partition, ledger.first_job_id(first_day), ledger.first_job_id(next_month)
    );
    -- The triggers for each row come with the parent; those for each statement do not.
    execute format(
        'create trigger event_refuse_statement before update or delete or truncate on ledger.%I
            for each statement execute function ledger.refuse_change()',
        partition
    );
    execute format('alter table ledger.%I enable always trigger event_refuse_statement', partition);
    execute format('alter table ledger.%I enable always trigger event_refuse_change', partition);
    return true;
end
$$;

-- Replays ------------------------------------------------------------------------------------------------------------

alter table ledger.replay_job add column was_missing boolean not null default false;
comment on column ledger.replay_job.was_missing is 'Whether the job had no live projection when the replay began: that is a difference.';

-- Of older replays their jobs are not kept, but counted.
alter table ledger.replay
    add column jobs bigint, add column jobs_done bigint, add column events bigint, add column events_done bigint,
    add column skipped bigint, add column differences bigint;
comment on column ledger.replay.jobs is 'How many jobs it had; null while they are listed in replay_job.';

-- Vacuum -------------------------------------------------------------------------------------------------------------

-- Every append and every step leaves a dead version. Pages are pruned on the way, but index entries of versions that
-- did not fit beside the old ones are removed by vacuum alone, and each of them lengthens every lookup. By default that
-- waits for a fifth of the table, which of a ledger with many quiet jobs is never reached by those that are busy.
alter table ledger.job_head set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);
alter table ledger.snapshot set (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);
alter table ledger.indicator set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table ledger.task set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table ledger.execution set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
