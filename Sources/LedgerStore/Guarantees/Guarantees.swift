/// The objects that keep the ledger append-only, and the role's privileges.
///
/// ``GuaranteeReader`` compares the list with the database, and ``GuaranteeRepair`` restores it. Migrations create the
/// same objects. The list remains correct after a restored dump or a privilege that was changed by hand.
enum Guarantees {
    /// The role that the service's sessions take.
    static let serviceRole = "progress_ledger_service"

    /// A trigger that refuses changes.
    struct Refusal: Sendable {
        let name: String
        /// The events before which the trigger fires, as in `create trigger`.
        let events: String
        let isForEachRow: Bool
        /// The bits of `pg_trigger.tgtype`.
        ///
        /// PostgreSQL's `pg_trigger.h` defines them: 1 row, 2 before, 8 delete, 16 update, 32 truncate.
        let type: Int16
    }

    /// The triggers on the event table and on every partition.
    static let eventRefusals = [
        Refusal(name: "event_refuse_change", events: "update or delete", isForEachRow: true, type: 27),
        Refusal(
            name: "event_refuse_statement", events: "update or delete or truncate", isForEachRow: false, type: 58),
    ]
    static let jobRefusal = Refusal(
        name: "job_refuse_statement", events: "update or delete or truncate", isForEachRow: false, type: 58)
    static let headRefusal = Refusal(
        name: "job_head_refuse_statement", events: "delete or truncate", isForEachRow: false, type: 42)
    /// The triggers that let only a moved job be deleted.
    static let jobDeletion = Refusal(name: "job_refuse_deletion", events: "delete", isForEachRow: true, type: 11)
    static let headDeletion = Refusal(name: "job_head_refuse_deletion", events: "delete", isForEachRow: true, type: 11)
    static let retirementRefusal = Refusal(
        name: "retirement_refuse_statement", events: "update or delete or truncate", isForEachRow: false, type: 58)

    /// The body of `ledger.refuse_change()`, as PostgreSQL stores it.
    static let refusalBody = """

        begin
            -- One exception: ledger.retire_jobs() deletes the events of jobs that it has recorded as retired.
            if tg_op = 'DELETE' and current_setting('ledger.retires_jobs', true) = 'on' then
                if tg_name = 'event_refuse_statement' then
                    return null;
                end if;
                if tg_name = 'event_refuse_change' and exists (
                    select from ledger.retirement
                    join ledger.job_head as head on head.job_id = retirement.job_id and head.hash = retirement.hash
                    where retirement.job_id = old.job_id and head.retired_hash = retirement.hash
                ) then
                    return old;
                end if;
            end if;
            -- The other one: ledger.move_job() deletes a job that it has recorded as moved, first its events, last the job.
            if tg_op = 'DELETE' and current_setting('ledger.moves_job', true) = 'on' then
                if tg_name in ('event_refuse_statement', 'job_head_refuse_statement', 'job_refuse_statement') then
                    return null;
                end if;
                if tg_name in ('event_refuse_change', 'job_head_refuse_deletion') and exists (
                    select from ledger.moved_job as moved
                    join ledger.job_head as head on head.job_id = moved.job_id and head.hash = moved.hash
                    where moved.job_id = old.job_id and moved.xmin = pg_current_xact_id()::xid
                ) then
                    return old;
                end if;
                if tg_name = 'job_refuse_deletion'
                    and exists (
                        select from ledger.moved_job as moved
                        where moved.job_id = old.job_id and moved.xmin = pg_current_xact_id()::xid
                    )
                    and not exists (select from ledger.job_head as head where head.job_id = old.job_id)
                then
                    return old;
                end if;
            end if;
            raise exception '% on %.% is refused: the ledger is append-only', tg_op, tg_table_schema, tg_table_name
                using errcode = 'LG001',
                    hint = 'Nothing in the ledger is ever changed. To remove old jobs, run progress-ledger retire.';
        end

        """

    /// Privileges of the service's role on tables.
    struct Grant: Sendable {
        let privilege: String
        let tables: [String]
        /// The columns, if the privilege is limited to columns of one table.
        var columns: [String] = []
    }

    private static let projections = ["snapshot", "indicator", "task", "execution", "report_page", "discard"]
    private static let operations = ["replay", "replay_job", "replay_difference", "worker", "stuck_job"]

    static let grants =
        [
            Grant(
                privilege: "select",
                tables: [
                    "schema_migration", "job", "job_head", "event", "retirement", "import_partition", "access_token",
                    "idempotency_key", "run_summary", "subscription", "delivery", "notification_floor",
                    "notification_state", "noticed_stall", "shard", "shard_map", "job_key",
                    "shard_commit", "moved_job",
                ]
                    + projections + operations),
            Grant(
                privilege: "insert",
                tables: [
                    "job", "job_head", "event", "access_token", "idempotency_key", "run_summary", "subscription",
                    "delivery", "notification_floor", "noticed_stall", "job_key", "shard_commit",
                ] + projections + operations),
            Grant(privilege: "update", tables: ["job_head"], columns: ["sequence", "recorded_at", "hash"]),
            Grant(
                privilege: "update",
                tables: [
                    "run_summary", "delivery", "notification_floor", "notification_state", "noticed_stall",
                    "shard_commit",
                ]),
            Grant(privilege: "update", tables: ["subscription"], columns: ["disabled_at", "disabled_reason"]),
            Grant(
                privilege: "delete",
                tables: ["idempotency_key", "subscription", "delivery", "noticed_stall", "shard_commit"]),
            Grant(privilege: "update", tables: ["access_token"], columns: ["revoked_at", "last_used_at"]),
        ]
        + ["update", "delete"].map { Grant(privilege: $0, tables: projections + operations) }

    /// The functions that the service's role may call.
    static let functions = [
        "make_event_partition(timestamptz)", "make_event_partitions(integer)", "fail_stale()",
        "event_notes_are_valid(smallint, bigint, text, text, text, text, bigint)",
        "is_current(timestamptz, uuid)",
    ]

    /// The function that deletes the events of retired jobs.
    ///
    /// Only the owner may call it.
    static let retirement = "retire_jobs(uuid[], bigint[], bytea[], bytea, text, boolean)"

    /// The function that deletes a moved job.
    ///
    /// Only the owner may call it.
    static let move = "move_job(uuid, bigint, bytea, integer)"

    /// The constraint by which the head of a retired job cannot move.
    static let retiredHead = "job_head_retired"

    /// The privileges on append-only tables that only the owner may have.
    static let refusedPrivileges = ["update", "delete", "truncate", "trigger"]
}
