-- Each part of an execution numbers its own reports.
--
-- The index is built anew, which blocks folds but neither appends nor reads of events: a migration of its own locks no
-- other table.

alter table ledger.report_page add column part text collate "C" not null default '';
alter table ledger.report_page drop constraint report_page_pkey;
alter table ledger.report_page add constraint report_page_pkey
    primary key (job_id, projection, execution, part, page);
comment on column ledger.report_page.part is 'The part of the execution that numbered the reports; empty for the execution itself.';
