-- A ledger that is divided among several databases, its shards.
--
-- All these tables are empty in a ledger with one database.

create table ledger.shard (
    only_row boolean not null default true,
    number integer not null,
    ledger_id uuid not null,
    version bigint not null,
    is_changing boolean not null,
    constraint shard_pkey primary key (only_row),
    constraint shard_one_row check (only_row),
    constraint shard_number_range check (number between 0 and 255),
    constraint shard_version_positive check (version > 0)
);
comment on table ledger.shard is 'The one row of a database that is a shard.';
comment on column ledger.shard.number is 'The number of the shard within its ledger.';
comment on column ledger.shard.ledger_id is 'The divided ledger, which is the same in all its shards.';
comment on column ledger.shard.version is 'The version of the map that this shard knows. A job with a key is created only by servers with the same version.';
comment on column ledger.shard.is_changing is 'Whether other shards may have an older version. No job with a key is created then.';

create table ledger.shard_map (
    version bigint not null,
    since timestamptz not null,
    owners smallint[] not null,
    constraint shard_map_pkey primary key (version),
    constraint shard_map_version_not_negative check (version >= 0),
    constraint shard_map_slots check (cardinality(owners) = 1024)
);
comment on table ledger.shard_map is 'All versions of the map. Each shard has a copy.';
comment on column ledger.shard_map.since is 'The time from which the version holds, by the clock of the command that made it.';
comment on column ledger.shard_map.owners is 'The shard of new jobs in each slot.';

create table ledger.job_key (
    key text not null,
    job_id uuid not null,
    constraint job_key_pkey primary key (key),
    constraint job_key_length check (char_length(key) between 1 and 200)
);
comment on table ledger.job_key is 'Keys of slots of this shard that belong to jobs in other slots, which were imported.';

grant select on ledger.shard, ledger.shard_map, ledger.job_key to progress_ledger_service;
grant insert on ledger.job_key to progress_ledger_service;

create table ledger.shard_commit (
    id uuid not null,
    is_committed boolean not null,
    decided_at timestamptz not null default clock_timestamp(),
    constraint shard_commit_pkey primary key (id)
);
comment on table ledger.shard_commit is 'Decisions about appends to several shards whose transactions are prepared in the other shards. Deleted when all have ended.';
comment on column ledger.shard_commit.is_committed is 'Whether the append is recorded. If not, it never will be.';
grant select, insert, update, delete on ledger.shard_commit to progress_ledger_service;
