-- Who appended each event.

alter table ledger.event add column reporter text;
comment on column ledger.event.reporter is 'Who appended the event: token:NAME; null without authentication. Set by the server, never by the caller.';
