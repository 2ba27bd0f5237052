/// What the database must keep so that the ledger is append-only, and what the service's role may do.
///
/// The list is compared with the database by ``GuaranteeReader`` and restored by ``GuaranteeRepair``. Migrations make
/// the same; this is what remains after somebody has restored a dump, or changed a privilege by hand.
enum Guarantees {
    /// The role that the service's sessions take.
    static let serviceRole = "progress_ledger_service"

    /// A trigger that refuses changes.
    struct Refusal: Sendable {
        let name: String
        /// What it fires before, as in `create trigger`.
        let events: String
        let isForEachRow: Bool
        /// The bits of `pg_trigger.tgtype` (PostgreSQL's `pg_trigger.h`): 1 row, 2 before, 8 delete, 16 update,
        /// 32 truncate.
        let type: Int16
    }

    /// On the event table and on every partition.
    static let eventRefusals = [
        Refusal(name: "event_refuse_change", events: "update or delete", isForEachRow: true, type: 27),
        Refusal(
            name: "event_refuse_statement", events: "update or delete or truncate", isForEachRow: false, type: 58),
    ]
    static let jobRefusal = Refusal(
        name: "job_refuse_statement", events: "update or delete or truncate", isForEachRow: false, type: 58)
    static let headRefusal = Refusal(
        name: "job_head_refuse_statement", events: "delete or truncate", isForEachRow: false, type: 42)

    /// The body of `ledger.refuse_change()`, as PostgreSQL stores it.
    static let refusalBody = """

        begin
            raise exception '% on %.% is refused: the ledger is append-only', tg_op, tg_table_schema, tg_table_name
                using errcode = 'LG001',
                    hint = 'Nothing in the ledger is ever changed. To retire old months, detach their partitions.';
        end

        """

    /// Privileges that the service's role has on tables.
    struct Grant: Sendable {
        let privilege: String
        let tables: [String]
        /// Of one table, these columns alone.
        var columns: [String] = []
    }

    private static let projections = ["snapshot", "indicator", "task", "execution", "report_page", "discard"]
    private static let operations = ["replay", "replay_job", "replay_difference", "worker", "stuck_job"]

    static let grants =
        [
            Grant(
                privilege: "select",
                tables: ["schema_migration", "job", "job_head", "event", "import_partition"] + projections
                    + operations),
            Grant(privilege: "insert", tables: ["job", "job_head", "event"] + projections + operations),
            Grant(privilege: "update", tables: ["job_head"], columns: ["sequence", "recorded_at", "hash"]),
        ]
        + ["update", "delete"].map { Grant(privilege: $0, tables: projections + operations) }

    /// Functions that the service's role may call.
    static let functions = ["make_event_partition(timestamptz)", "make_event_partitions(integer)"]

    /// Privileges that nobody but the owner has on what is append-only.
    static let refusedPrivileges = ["update", "delete", "truncate", "trigger"]
}
