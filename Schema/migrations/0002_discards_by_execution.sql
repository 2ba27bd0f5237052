-- Which events of an execution were discarded, for those who ask why a number is what it is.
create index discard_by_execution on ledger.discard (job_id, projection, execution, indicator);
