-- What a report can say besides numbers: messages, links, units, parts and carried units.

alter table ledger.event
    add column message text,
    add column link text,
    add column unit text,
    add column part text,
    add column carried bigint;
comment on column ledger.event.message is 'What is being done, or why it ended; null if not given.';
comment on column ledger.event.link is 'A URL of more information, such as a log; null if not given.';
comment on column ledger.event.unit is 'The unit of the indicator. The first event that gives one for the label fixes it.';
comment on column ledger.event.part is 'The process within the execution that numbered the report; null for the execution itself.';
comment on column ledger.event.carried is 'The units of done that an earlier execution did already; null if not given, which means 0.';

-- A function, because PostgreSQL reads the text of each check constraint again in every statement that inserts: written
-- out, this rule nearly doubled that text, and inserting one event took a quarter longer. Few events have such fields.
create function ledger.event_notes_are_valid(
    type smallint, done bigint, message text, link text, unit text, part text, carried bigint
) returns boolean
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        (message is null or (type in (3, 4, 5) and char_length(message) between 1 and 1000))
        and (link is null or (type in (2, 3, 4) and char_length(link) between 1 and 2000))
        and (unit is null or (type = 3 and char_length(unit) between 1 and 32))
        and (part is null or (type = 3 and char_length(part) between 1 and 100))
        and (carried is null or (type = 3 and carried between 0 and coalesce(done, 0)))
    );
end
$$;
comment on function ledger.event_notes_are_valid(smallint, bigint, text, text, text, text, bigint) is 'Whether an event of this type may have these fields.';
revoke all on function ledger.event_notes_are_valid(smallint, bigint, text, text, text, text, bigint) from public;
grant execute on function ledger.event_notes_are_valid(smallint, bigint, text, text, text, text, bigint)
    to progress_ledger_service;

-- Not validated, because all earlier rows have nulls in these columns, and checking them would block appends.
alter table ledger.event add constraint event_notes check (
    num_nonnulls(message, link, unit, part, carried) = 0
    or ledger.event_notes_are_valid(type, done, message, link, unit, part, carried)
) not valid;

alter table ledger.snapshot add column message text;
comment on column ledger.snapshot.message is 'The newest message of an event that counted on arrival.';

alter table ledger.indicator
    add column carried_done numeric not null default 0,
    add column unit text,
    add column message text,
    add constraint indicator_carried_not_negative check (carried_done >= 0) not valid;
comment on column ledger.indicator.carried_done is 'The units done that earlier executions had done already, of all events that were not discarded.';
comment on column ledger.indicator.unit is 'The unit, by the first event that gave one, whatever its verdict.';
comment on column ledger.indicator.message is 'The newest message of an event that counted on arrival.';

alter table ledger.execution add column message_sequence bigint, add column link_sequence bigint;
comment on column ledger.execution.message_sequence is 'The latest event with a message that was not discarded.';
comment on column ledger.execution.link_sequence is 'The latest event with a link that was not discarded.';
