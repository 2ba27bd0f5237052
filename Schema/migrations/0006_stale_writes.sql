-- A SQLSTATE for writes whose premise no longer holds, and comments in plain English.

create function ledger.fail_stale() returns integer
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'the rows have changed since they were read'
        using errcode = 'LG004',
            hint = 'Read them again, and repeat the write.';
end
$$;
comment on function ledger.fail_stale() is 'Fails with SQLSTATE LG004: called by a statement that compares rows with their expected state, and finds another one.';
revoke all on function ledger.fail_stale() from public;
grant execute on function ledger.fail_stale() to progress_ledger_service;

-- Comments -----------------------------------------------------------------------------------------------------------

comment on table ledger.schema_migration is 'The migrations of this schema, with the SHA-256 of each file as it was applied.';
comment on table ledger.job is 'The jobs, as described by their first events.';
comment on column ledger.job.created_at is 'The time at which the first event was recorded.';
comment on column ledger.job.key is 'A key chosen by the caller. Creating a job with the same key and content returns this one.';
comment on column ledger.job.tags is 'Text values by tag name.';
comment on table ledger.job_head is 'The last event of each job. Its row lock orders appends: sequences have no gaps and follow the order of commits.';
comment on column ledger.job_head.hash is 'The hash of the last event; the next event continues the chain from it.';
comment on column ledger.event.sequence is 'The number of the event within its job: 1, 2, 3 … without a gap.';
comment on column ledger.event.recorded_at is 'The time of the append by the database''s clock; never decreases within a job.';
comment on column ledger.event.at is 'The time by the caller''s clock, if given; never used for order.';
comment on column ledger.event.report is 'The number that the reporter gave this report within its execution.';
comment on column ledger.event.total is 'Additional units to do; null if not given, which means 0.';
comment on column ledger.event.done is 'Additional units done; null if not given, which means 0.';
comment on column ledger.event.label is 'The label of the indicator; null for the default indicator.';
comment on column ledger.event.hash is 'SHA-256 of the previous hash and the event''s canonical encoding.';
comment on function ledger.refuse_change() is 'Refuses the change that fires the trigger, with SQLSTATE LG001.';
comment on function ledger.first_job_id(timestamptz) is 'The lowest id of a job that was created at this time or later.';
comment on function ledger.make_event_partition(timestamptz) is 'Creates the partition for jobs created in this month (UTC). Returns false if it exists.';
comment on function ledger.make_event_partitions(integer) is 'Creates the partitions of this month and the following ones, 24 at most. Returns how many were missing.';
comment on table ledger.snapshot is 'A projection of a job up to one sequence, its checkpoint. If the head is further, the projection is behind.';
comment on column ledger.snapshot.is_live is 'Whether readers get this projection. Each job has one live projection.';
comment on table ledger.indicator is 'The indicators of a job: the units received on each, and how they count.';
comment on column ledger.indicator.sequence is 'The first event that names the indicator, whatever its verdict; orders the indicators of a job.';
comment on column ledger.indicator.label is 'The label; empty for the default indicator.';
comment on column ledger.indicator.counted_events is 'The number of events that count. The indicator is hidden while it is 0.';
comment on column ledger.task.sequence is 'The event that started the first execution of the task.';
comment on column ledger.task.last is 'The execution that counts, by its first event.';
comment on table ledger.execution is 'The executions of the tasks of a job.';
comment on column ledger.execution.sequence is 'The first event of the execution.';
comment on column ledger.execution.task is 'The task, by the event that started its first execution.';
comment on column ledger.execution.name is 'The name that its reporter gave it; null if none.';
comment on column ledger.execution.superseded_by is 'The execution that superseded it, or that was already last when it started; null while it counts.';
comment on column ledger.execution.state is 'The units it reported on each indicator, and its newest report numbers, encoded by Execution.encodedState in the sources.';
comment on table ledger.report_page is 'Earlier report numbers of an execution, 64 to a page, so that a repeated report is recognised however late it arrives.';
comment on table ledger.discard is 'The events that were discarded on arrival, with the reason. All other events count or are superseded, depending on their executions.';
comment on table ledger.import_partition is 'The partitions that imports created for other months, with the time of creation, which bounds their number per day.';
comment on table ledger.replay is 'The replays. Each replay is also a job of the ledger, which reports its progress.';
comment on column ledger.replay.job_id is 'The id of the replay and of the job that reports its progress.';
comment on column ledger.replay.only_job is 'The job that is replayed; null for all jobs.';
comment on column ledger.replay.applies is 'Whether the replayed projections replace the live ones.';
comment on column ledger.replay.keeps is 'Whether projections that are not live are kept, so that the replay can be reverted or applied again.';
comment on column ledger.replay.jobs is 'The number of jobs; null while replay_job lists them.';
comment on index ledger.replay_under_way is 'At most one replay is in progress.';
comment on column ledger.replay_job.events is 'The number of events in the live projection when the replay started.';
comment on column ledger.replay_job.batch is 'The batch. A batch has about 200,000 events; a larger job is a batch by itself.';
comment on column ledger.replay_job.previous is 'The projection that was live when the replay started.';
comment on column ledger.replay_job.projection is 'The projection that the replay builds.';
comment on column ledger.replay_job.detail is 'The reason why the job was skipped.';
comment on column ledger.replay_job.was_missing is 'Whether the job had no live projection when the replay started, which is a difference.';
comment on table ledger.replay_difference is 'Differences between live projections and their events: the first hundred of each job.';
comment on column ledger.replay_difference.part is 'The part that differs: the snapshot, an indicator, a task, an execution, a page of report numbers or a discarded event.';
comment on column ledger.replay_difference.live is 'The value in the live projection; null if it has none.';
comment on column ledger.replay_difference.replayed is 'The value by the events; null if they give none.';
comment on table ledger.worker is 'The projection workers. Each one updates its row every few seconds, and deletes it when it stops.';
comment on column ledger.worker.worker is 'The instance of the worker; each start of a process is another one.';
comment on column ledger.worker.seen_at is 'The last update, by the database''s clock.';
comment on column ledger.worker.folded_at is 'The time at which the worker last stored a step.';
comment on column ledger.worker.error_state is 'The SQLSTATE of the last error, if PostgreSQL reported one.';
comment on table ledger.stuck_job is 'Jobs whose last fold failed, with the reason. Folding is retried; success deletes the row.';
