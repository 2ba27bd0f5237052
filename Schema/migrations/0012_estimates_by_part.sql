-- The state of estimates, stored with the parts that an event touches.
--
-- Before, it was one value for each job, with all its running executions, and every event of the job wrote it again.

alter table ledger.indicator add column pattern bytea;
comment on column ledger.indicator.pattern is 'How long executions take on it, encoded by EstimateState.encodedPattern in the sources. Null before the first counted units, and until it is built.';
alter table ledger.execution add column work bytea;
comment on column ledger.execution.work is 'The work of an execution that is running and counts, encoded by EstimateState.encodedWork in the sources. Null otherwise, and until it is built.';
comment on column ledger.snapshot.estimate is 'The part of the state of estimates that concerns the job as a whole, encoded by EstimateState.encoded in the sources. Null until the state is built.';

-- A worker builds the states of earlier jobs again.
update ledger.snapshot set estimate = null, is_estimated = is_estimated and state = 'completed' where estimate is not null;

create index task_running on ledger.task (job_id, projection, sequence) where state = 'running';
comment on index ledger.task_running is 'The tasks that are running, of which there are few.';
