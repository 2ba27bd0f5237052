-- Tokens: who may do what.

create table ledger.access_token (
    token_id text not null,
    name text not null,
    digest bytea not null,
    scopes text[] not null,
    tags jsonb not null default '{}',
    job_id uuid,
    created_at timestamptz not null default now(),
    created_by text,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    constraint access_token_pkey primary key (token_id),
    constraint access_token_name_unique unique (name),
    constraint access_token_id_valid check (token_id ~ '^[a-z2-7]{12}$'),
    constraint access_token_digest_valid check (octet_length(digest) = 32),
    constraint access_token_scopes_valid check (
        scopes <@ array['read', 'report', 'admin'] and cardinality(scopes) > 0
    )
);
comment on table ledger.access_token is 'The tokens of callers. They are never deleted, so that a name stands for one token for ever.';
comment on column ledger.access_token.token_id is 'The public part of the token''s text.';
comment on column ledger.access_token.digest is 'SHA-256 of the token''s text, which is random and not stored.';
comment on column ledger.access_token.scopes is 'What the token permits: read, report or admin.';
comment on column ledger.access_token.tags is 'Tags that a job must have for this token, with these values.';
comment on column ledger.access_token.job_id is 'The only job of a token that is limited to one.';
comment on column ledger.access_token.created_by is 'The reporter of the request that created it; null if it was created with access to the database.';
comment on column ledger.access_token.expires_at is 'When it ceases to be accepted; null for never.';
comment on column ledger.access_token.last_used_at is 'When it was last used, to about a minute.';

grant select, insert on ledger.access_token to progress_ledger_service;
grant update (revoked_at, last_used_at) on ledger.access_token to progress_ledger_service;

create trigger access_token_keep_revocation before update of revoked_at on ledger.access_token
    for each row when (old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at)
    execute function ledger.refuse_change();
