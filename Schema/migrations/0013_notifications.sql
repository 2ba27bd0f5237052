-- Notifications: subscriptions, and the deliveries to their receivers.

create table ledger.subscription (
    subscription_id text not null,
    name text not null,
    url text not null,
    secret text not null,
    kinds text[] not null,
    job_name text,
    tags jsonb not null default '{}',
    format text not null,
    created_at timestamptz not null default clock_timestamp(),
    created_by text,
    disabled_at timestamptz,
    disabled_reason text,
    constraint subscription_pkey primary key (subscription_id),
    constraint subscription_id_valid check (subscription_id ~ '^[a-z2-7]{12}$'),
    constraint subscription_name_length check (char_length(name) between 1 and 200),
    constraint subscription_url_length check (char_length(url) between 1 and 2000),
    constraint subscription_kinds_present check (cardinality(kinds) > 0),
    constraint subscription_job_name_length check (char_length(job_name) between 1 and 200),
    constraint subscription_tags_object check (jsonb_typeof(tags) = 'object'),
    constraint subscription_format_known check (format in ('standard', 'slack')),
    constraint subscription_disabled_for_reason check ((disabled_at is null) = (disabled_reason is null))
);
comment on table ledger.subscription is 'The subscriptions to notifications about jobs.';
comment on column ledger.subscription.url is 'The receiver. The URL is a credential of many receivers.';
comment on column ledger.subscription.secret is 'The key that signs deliveries. It cannot be stored as a hash.';
comment on column ledger.subscription.kinds is 'The kinds of notifications; percent with its threshold, such as percent:50.';
comment on column ledger.subscription.job_name is 'The name that a job must have; null for any.';
comment on column ledger.subscription.tags is 'Tags that a job must have, with these values.';
comment on column ledger.subscription.disabled_at is 'When deliveries ended; null while it is active.';

create table ledger.delivery (
    delivery_id text not null,
    subscription_id text not null,
    job_id uuid,
    sequence bigint,
    since timestamptz,
    caused_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    next_at timestamptz not null default clock_timestamp(),
    attempted_at timestamptz,
    ended_at timestamptz,
    attempts integer not null default 0,
    response_status smallint,
    kind text not null,
    state text not null default 'pending',
    error text,
    constraint delivery_pkey primary key (delivery_id),
    constraint delivery_subscription_fkey foreign key (subscription_id)
        references ledger.subscription (subscription_id) on delete cascade,
    constraint delivery_one_cause check (num_nonnulls(sequence, since) = 1),
    constraint delivery_state_known check (state in ('pending', 'delivered', 'failed')),
    constraint delivery_ended check ((state = 'pending') = (ended_at is null))
) with (fillfactor = 70);
comment on table ledger.delivery is 'Notifications to send, and for some days those that were sent.';
comment on column ledger.delivery.delivery_id is 'The webhook-id: a digest of subscription, job, kind and cause, so that the same cause never has two.';
comment on column ledger.delivery.job_id is 'The job; null for a test of the subscription.';
comment on column ledger.delivery.sequence is 'The event that caused it.';
comment on column ledger.delivery.since is 'The moment that caused it, if no event did.';
comment on column ledger.delivery.caused_at is 'When the event was recorded, or the moment was noticed.';
comment on column ledger.delivery.next_at is 'When the next attempt begins; during an attempt, when another process may repeat it.';
comment on column ledger.delivery.response_status is 'The status of the last response.';
comment on column ledger.delivery.error is 'Why the last attempt failed.';
create index delivery_pending on ledger.delivery (subscription_id, next_at) where state = 'pending';
create index delivery_by_subscription on ledger.delivery (subscription_id, created_at desc, delivery_id);
create index delivery_by_creation on ledger.delivery (created_at desc, delivery_id);
create index delivery_by_end on ledger.delivery (ended_at) where state <> 'pending';

create table ledger.notification_floor (
    job_id uuid not null,
    sequence bigint not null,
    constraint notification_floor_pkey primary key (job_id)
);
comment on table ledger.notification_floor is 'Events that cause no notifications: imported ones, and those folded before their projection was dropped.';
comment on column ledger.notification_floor.sequence is 'The last such event.';

create table ledger.notification_state (
    only_row boolean not null default true,
    version bigint not null default 0,
    searched_at timestamptz not null default '-infinity',
    searched_job uuid,
    constraint notification_state_pkey primary key (only_row),
    constraint notification_state_one_row check (only_row)
);
comment on table ledger.notification_state is 'One row that all processes share.';
comment on column ledger.notification_state.version is 'A number that changes whenever subscriptions are added, removed or disabled.';
comment on column ledger.notification_state.searched_at is 'When a process last searched for late and stalled jobs.';
comment on column ledger.notification_state.searched_job is 'The last job of that search; null at the end.';
insert into ledger.notification_state default values;

create table ledger.noticed_stall (
    job_id uuid not null,
    since timestamptz not null,
    constraint noticed_stall_pkey primary key (job_id)
);
comment on table ledger.noticed_stall is 'Running jobs that a search has found stalled, so that their next advance is noticed.';
comment on column ledger.noticed_stall.since is 'The last advance before the stall.';

create function ledger.count_subscription_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    update ledger.notification_state set version = version + 1;
    return null;
end
$$;
comment on function ledger.count_subscription_change() is 'Changes the version of the subscriptions.';
revoke all on function ledger.count_subscription_change() from public;
create trigger subscription_count_change after insert or update or delete or truncate on ledger.subscription
    for each statement execute function ledger.count_subscription_change();

grant select, insert, delete on ledger.subscription to progress_ledger_service;
grant update (disabled_at, disabled_reason) on ledger.subscription to progress_ledger_service;
grant select, insert, update, delete on ledger.delivery to progress_ledger_service;
grant select, insert, update, delete on ledger.noticed_stall to progress_ledger_service;
grant select, insert, update on ledger.notification_floor to progress_ledger_service;
grant select, update on ledger.notification_state to progress_ledger_service;
