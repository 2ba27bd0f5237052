-- SQL that also fits a database that distributes its tables, such as Citus with schema-based sharding.

-- An SQL function without settings is expanded into the statement, so it costs nothing.
create function ledger.is_current(planned timestamptz, job_id uuid) returns boolean
    language sql
    volatile
as $$
    select planned between clock_timestamp() - interval '1 second' and clock_timestamp()
$$;
comment on function ledger.is_current(timestamptz, uuid) is 'Whether a planned time is at most a second old. The job makes a distributed database look at the clock of the server with the row, after the row is locked.';
revoke all on function ledger.is_current(timestamptz, uuid) from public;
grant execute on function ledger.is_current(timestamptz, uuid) to progress_ledger_service;

-- A replay may concern a job on another server.
alter table ledger.replay drop constraint replay_job_fkey;
alter table ledger.replay drop constraint replay_only_job_fkey;

create or replace function ledger.make_event_partition(moment timestamptz) returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- "at time zone" so that a month begins at midnight in UTC, whatever the session's time zone.
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
    -- Two servers may want it at the same time; the second one finds it.
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
        on conflict (month) do update set made_at = excluded.made_at;
    end if;
    -- It is created apart and then attached, which does not block appends; "partition of" would.
    execute format('create table ledger.%I (like ledger.event including all)', partition);
    -- A trigger for each statement is not copied from the parent. It is created before the table is distributed.
    execute format(
        'create trigger event_refuse_statement before update or delete or truncate on ledger.%I
            for each statement execute function ledger.refuse_change()',
        partition
    );
    execute format('alter table ledger.%I enable always trigger event_refuse_statement', partition);
    -- A trigger for each row is copied with its mode, "always".
    execute format(
        'alter table ledger.event attach partition ledger.%I for values from (%L) to (%L)',
        partition, ledger.first_job_id(first_day), ledger.first_job_id(next_month)
    );
    return true;
end
$$;
