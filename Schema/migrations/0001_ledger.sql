-- The ledger: jobs, their events, and what is projected from them.
--
-- The event table is the only truth. It is append-only, refused to change by the database itself: the service's role
-- has no privilege to, and triggers refuse it even to the owner. Everything in the second half is a projection that
-- can be dropped and replayed from it.

create schema ledger;
comment on schema ledger is 'Progress ledger: immutable events of jobs, and the snapshots projected from them.';

-- What serve and project work as: they may add to the ledger, never change it. Roles belong to the whole cluster, so
-- another database may have made this one already, or be making it now.
do $$
begin
    if not exists (select from pg_roles where rolname = 'progress_ledger_service') then
        create role progress_ledger_service nologin;
    end if;
exception
    when duplicate_object or unique_violation then
        null;
end
$$;

create table ledger.schema_migration (
    version integer not null,
    file text not null,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp(),
    duration_microseconds bigint not null,
    applied_by text not null default current_user,
    constraint schema_migration_pkey primary key (version),
    constraint schema_migration_version_positive check (version > 0)
);
comment on table ledger.schema_migration is 'The migrations that made this schema, with the SHA-256 of each file as it was applied.';

-- Truth -------------------------------------------------------------------------------------------------------------

create table ledger.job (
    job_id uuid not null,
    created_at timestamptz not null,
    name text not null,
    key text,
    tags jsonb not null default '{}',
    constraint job_pkey primary key (job_id),
    constraint job_key_unique unique (key),
    constraint job_name_length check (char_length(name) between 1 and 200),
    constraint job_key_length check (char_length(key) between 1 and 200),
    constraint job_tags_object check (jsonb_typeof(tags) = 'object')
);
comment on table ledger.job is 'Every job, as its first event describes it.';
comment on column ledger.job.job_id is 'UUIDv7: ids sort by the time of creation.';
comment on column ledger.job.created_at is 'When its first event was recorded.';
comment on column ledger.job.key is 'The caller''s own key; creating a job with the same key and content again finds this one.';
comment on column ledger.job.tags is 'Text values by tag names.';
create index job_by_name on ledger.job (name, job_id desc);
create index job_by_tags on ledger.job using gin (tags jsonb_path_ops);

create table ledger.job_head (
    job_id uuid not null,
    sequence bigint not null,
    recorded_at timestamptz not null,
    hash bytea not null,
    constraint job_head_pkey primary key (job_id),
    constraint job_head_job_fkey foreign key (job_id) references ledger.job (job_id),
    constraint job_head_sequence_positive check (sequence > 0),
    constraint job_head_hash_length check (octet_length(hash) = 32)
) with (fillfactor = 50);
comment on table ledger.job_head is 'The last event of every job. Its row lock gives the next sequence: gapless, in the order of commits.';
comment on column ledger.job_head.hash is 'The hash of the last event, from which the chain goes on.';

create table ledger.event (
    job_id uuid not null,
    sequence bigint not null,
    recorded_at timestamptz not null,
    at timestamptz,
    report bigint,
    total bigint,
    done bigint,
    attempt integer,
    type smallint not null,
    hash bytea not null,
    task text,
    execution text,
    label text,
    outcome text,
    name text,
    key text,
    tags jsonb,
    constraint event_pkey primary key (job_id, sequence),
    constraint event_sequence_positive check (sequence > 0),
    constraint event_hash_length check (octet_length(hash) = 32),
    constraint event_attempt_range check (attempt >= 1),
    constraint event_report_range check (report between 1 and 9007199254740991),
    constraint event_total_range check (total between 0 and 9007199254740991),
    constraint event_done_range check (done between 0 and 9007199254740991),
    constraint event_task_length check (char_length(task) between 1 and 200),
    constraint event_execution_length check (char_length(execution) between 1 and 200),
    constraint event_label_length check (char_length(label) between 1 and 100),
    constraint event_fields check (
        case type
            when 1 then sequence = 1 and name is not null and task is null and outcome is null
            when 2 then task is not null and (execution is not null or attempt is not null) and outcome is null
            when 3 then task is not null and outcome is null
            when 4 then task is not null and outcome in ('succeeded', 'failed', 'canceled')
            when 5 then task is null and outcome in ('completed', 'failed', 'canceled')
            else false
        end
    )
) partition by range (job_id);
comment on table ledger.event is 'The ledger: immutable events, numbered within their job, linked by a hash chain. Partitioned by month of the job''s creation.';
comment on column ledger.event.sequence is 'Its place in its job: 1, 2, 3 … without a gap.';
comment on column ledger.event.recorded_at is 'The ledger''s clock when it was appended; never goes backwards within a job.';
comment on column ledger.event.at is 'The caller''s clock, where it gave one; never used for order.';
comment on column ledger.event.type is '1 job_created, 2 execution_started, 3 progress, 4 execution_finished, 5 job_finished.';
comment on column ledger.event.report is 'The reporter''s own number of this report within its execution.';
comment on column ledger.event.total is 'Units more to do; null where the caller gave none, which means 0.';
comment on column ledger.event.done is 'Units more done; null where the caller gave none, which means 0.';
comment on column ledger.event.label is 'The indicator; null is the default one.';
comment on column ledger.event.hash is 'SHA-256 of the hash before it and of the event''s canonical encoding.';

create function ledger.refuse_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% on %.% is refused: the ledger is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'LG001',
            hint = 'Nothing in the ledger is ever changed. To retire old months, detach their partitions.';
end
$$;
comment on function ledger.refuse_change() is 'Refuses whatever fires it, with SQLSTATE LG001.';

-- "always": also where session_replication_role would switch ordinary triggers off.
create trigger event_refuse_change before update or delete on ledger.event
    for each row execute function ledger.refuse_change();
alter table ledger.event enable always trigger event_refuse_change;
create trigger event_refuse_statement before update or delete or truncate on ledger.event
    for each statement execute function ledger.refuse_change();
alter table ledger.event enable always trigger event_refuse_statement;
create trigger job_refuse_statement before update or delete or truncate on ledger.job
    for each statement execute function ledger.refuse_change();
alter table ledger.job enable always trigger job_refuse_statement;

create function ledger.first_job_id(moment timestamptz) returns uuid
    language sql
    immutable strict parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
comment on function ledger.first_job_id(timestamptz) is 'No id of a job that was created at this moment or later is lower than this.';

-- Security definer: the service may have partitions made, and nothing else made.
create function ledger.make_event_partition(moment timestamptz) returns boolean
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
comment on function ledger.make_event_partition(timestamptz) is 'Makes the partition of the jobs created in this month (UTC) unless it is there; tells whether it did.';

create function ledger.make_event_partitions(months_ahead integer default 3) returns integer
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select count(*) filter (where ledger.make_event_partition(clock_timestamp() + n * interval '1 month'))::integer
    from generate_series(0, least(greatest(months_ahead, 0), 24)) as n
$$;
comment on function ledger.make_event_partitions(integer) is 'Makes the partitions of this month and of the next ones (24 at most); returns how many were missing.';

-- Projection --------------------------------------------------------------------------------------------------------
--
-- Each row belongs to one projection of its job, so that a replay can build another beside the live one and switch.

create table ledger.snapshot (
    job_id uuid not null,
    sequence bigint not null,
    created_at timestamptz,
    started_at timestamptz,
    updated_at timestamptz,
    finished_at timestamptz,
    tasks_running bigint not null default 0,
    tasks_succeeded bigint not null default 0,
    tasks_failed bigint not null default 0,
    tasks_canceled bigint not null default 0,
    executions bigint not null default 0,
    projection smallint not null default 1,
    is_live boolean not null default true,
    state text not null default 'running',
    constraint snapshot_pkey primary key (job_id, projection),
    constraint snapshot_job_fkey foreign key (job_id) references ledger.job (job_id),
    constraint snapshot_sequence_not_negative check (sequence >= 0),
    constraint snapshot_state_known check (state in ('running', 'completed', 'failed', 'canceled')),
    constraint snapshot_tasks_not_negative check (
        tasks_running >= 0 and tasks_succeeded >= 0 and tasks_failed >= 0 and tasks_canceled >= 0
        and executions >= tasks_running + tasks_succeeded + tasks_failed + tasks_canceled
    )
) with (fillfactor = 50);
comment on table ledger.snapshot is 'A projection of a job, as of one sequence: its checkpoint. The job is behind where its head is further.';
comment on column ledger.snapshot.is_live is 'Whether readers are shown this projection; one of each job is.';
create unique index snapshot_live on ledger.snapshot (job_id) where is_live;
create index snapshot_live_by_state on ledger.snapshot (state, job_id desc) where is_live;

create table ledger.indicator (
    job_id uuid not null,
    sequence bigint not null,
    updated_at timestamptz not null,
    counted_events bigint not null,
    superseded_events bigint not null,
    projection smallint not null default 1,
    label text not null,
    received_total numeric not null,
    received_done numeric not null,
    counted_total numeric not null,
    counted_done numeric not null,
    superseded_total numeric not null,
    superseded_done numeric not null,
    discarded_total numeric not null,
    discarded_done numeric not null,
    constraint indicator_pkey primary key (job_id, projection, sequence),
    constraint indicator_label_unique unique (job_id, projection, label),
    constraint indicator_total_conserved check (received_total = counted_total + superseded_total + discarded_total),
    constraint indicator_done_conserved check (received_done = counted_done + superseded_done + discarded_done),
    constraint indicator_not_negative check (
        least(
            counted_total, counted_done, superseded_total, superseded_done, discarded_total, discarded_done,
            counted_events, superseded_events
        ) >= 0
    )
) with (fillfactor = 70);
comment on table ledger.indicator is 'The indicators of a job: what was received on each, and where each unit went.';
comment on column ledger.indicator.sequence is 'The first event that named it, whatever its verdict: its place among the job''s indicators.';
comment on column ledger.indicator.label is 'Its label; empty for the default indicator.';
comment on column ledger.indicator.counted_events is 'How many events count; while there are none it is not shown.';

create table ledger.task (
    job_id uuid not null,
    sequence bigint not null,
    last bigint not null,
    execution_count bigint not null,
    projection smallint not null default 1,
    name text not null,
    state text not null,
    constraint task_pkey primary key (job_id, projection, sequence),
    constraint task_name_unique unique (job_id, projection, name),
    constraint task_state_known check (state in ('running', 'succeeded', 'failed', 'canceled')),
    constraint task_executions_positive check (execution_count > 0),
    constraint task_last_not_before_first check (last >= sequence)
) with (fillfactor = 80);
comment on table ledger.task is 'The tasks of a job.';
comment on column ledger.task.sequence is 'The event that began its first execution.';
comment on column ledger.task.last is 'The execution that counts, by its first event.';

create table ledger.execution (
    job_id uuid not null,
    sequence bigint not null,
    task bigint not null,
    last_sequence bigint not null,
    superseded_by bigint,
    started_at timestamptz not null,
    last_at timestamptz not null,
    attempt integer not null,
    projection smallint not null default 1,
    name text,
    outcome text,
    state bytea not null,
    constraint execution_pkey primary key (job_id, projection, sequence),
    constraint execution_attempt_range check (attempt >= 1),
    constraint execution_outcome_known check (outcome in ('succeeded', 'failed', 'canceled')),
    constraint execution_last_not_before_first check (last_sequence >= sequence)
) with (fillfactor = 70);
comment on table ledger.execution is 'The runs of the tasks of a job.';
comment on column ledger.execution.sequence is 'Its first event.';
comment on column ledger.execution.task is 'Its task, by the event that began the task''s first execution.';
comment on column ledger.execution.name is 'What its reporter calls it; null where nobody named it.';
comment on column ledger.execution.superseded_by is 'The execution that took its place, or that was last already when it began; null while it counts.';
comment on column ledger.execution.state is 'What it reported on each indicator, and its newest report numbers: see Execution.encodedState in the sources.';
create unique index execution_by_name on ledger.execution (job_id, projection, task, name) where name is not null;
create index execution_by_attempt on ledger.execution (job_id, projection, task, attempt, sequence);

create table ledger.report_page (
    job_id uuid not null,
    execution bigint not null,
    page bigint not null,
    projection smallint not null default 1,
    entries bytea not null,
    constraint report_page_pkey primary key (job_id, projection, execution, page)
) with (fillfactor = 80);
comment on table ledger.report_page is 'Report numbers that an execution used longer ago, 64 to a page, so that a repeated report is known however late it comes.';

create table ledger.discard (
    job_id uuid not null,
    sequence bigint not null,
    execution bigint not null,
    indicator bigint,
    duplicate_of bigint,
    total bigint not null,
    done bigint not null,
    projection smallint not null default 1,
    verdict text not null,
    constraint discard_pkey primary key (job_id, projection, sequence),
    constraint discard_verdict_known check (verdict in ('duplicate', 'conflict', 'over_limit')),
    constraint discard_units_not_negative check (total >= 0 and done >= 0)
);
comment on table ledger.discard is 'The events that were discarded on arrival, and why. All others count, or are superseded, by their executions.';

-- Privileges --------------------------------------------------------------------------------------------------------

revoke all on function ledger.make_event_partition(timestamptz), ledger.make_event_partitions(integer) from public;
grant usage on schema ledger to progress_ledger_service;
grant select on all tables in schema ledger to progress_ledger_service;
grant insert on ledger.job, ledger.job_head, ledger.event to progress_ledger_service;
grant update (sequence, recorded_at, hash) on ledger.job_head to progress_ledger_service;
grant insert, update, delete
    on ledger.snapshot, ledger.indicator, ledger.task, ledger.execution, ledger.report_page, ledger.discard
    to progress_ledger_service;
grant execute on function ledger.make_event_partition(timestamptz), ledger.make_event_partitions(integer)
    to progress_ledger_service;

-- Whoever made the schema may work as the service.
do $$
begin
    execute format('grant progress_ledger_service to %I', current_user);
end
$$;

-- Events are inserted and never updated: vacuum has nothing to reclaim, only to freeze. PostgreSQL's thresholds for
-- inserts (autovacuum_vacuum_insert_scale_factor) see to that.
select ledger.make_event_partitions(3);
