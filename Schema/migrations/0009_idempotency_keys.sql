-- Keys by which the creation of a job is safe to repeat.

create table ledger.idempotency_key (
    reporter text not null,
    key text not null,
    digest bytea not null,
    job_id uuid not null,
    created_at timestamptz not null default now(),
    constraint idempotency_key_pkey primary key (reporter, key),
    constraint idempotency_key_digest_valid check (octet_length(digest) = 32)
);
create index idempotency_key_by_age on ledger.idempotency_key (created_at);
comment on table ledger.idempotency_key is 'The keys of requests that created jobs, for a day: a repeated request returns the same job.';
comment on column ledger.idempotency_key.reporter is 'The caller; empty without authentication.';
comment on column ledger.idempotency_key.key is 'The Idempotency-Key of the request.';
comment on column ledger.idempotency_key.digest is 'SHA-256 of the content of the request.';

grant select, insert, delete on ledger.idempotency_key to progress_ledger_service;
