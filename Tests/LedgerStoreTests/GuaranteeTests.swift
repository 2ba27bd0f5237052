import Ledger
import LedgerSchema
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Guarantees of the database")
struct GuaranteeTests {
    private func run(_ target: ConnectionTarget, _ statements: [String]) async throws {
        try await TestCluster.run(statements, on: target, logger: TestCluster.logger)
    }

    private func migrator(_ target: ConnectionTarget) -> Migrator {
        Migrator(target: target, logger: TestCluster.logger)
    }

    @Test("a migrated database keeps all guarantees, including in later partitions")
    func kept() async throws {
        try await withLedgerDatabase { target in
            try await run(target, ["select ledger.make_event_partition('2031-05-01')"])
            #expect(try await migrator(target).guaranteeFaults() == [])
            try await withRunningLedger(on: target) { ledger in
                let checks = await ledger.readiness().checks
                #expect(checks.allSatisfy { $0.isPassed }, "\(checks)")
                #expect(checks.contains { $0.name == "guarantees" })
                let faults = try await ledger.status().guaranteeFaults
                #expect(faults.isEmpty)
            }
        }
    }

    /// Statements that weaken a guarantee, and a part of the reported fault.
    private static let weakenings: [(statements: [String], fault: String)] = [
        (["alter table ledger.event disable trigger event_refuse_statement"], "event_refuse_statement of event "),
        (["alter table ledger.event enable trigger event_refuse_change"], "event_refuse_change of event "),
        (
            [
                "do $$ begin execute (select format('alter table %s disable trigger user', inhrelid::regclass) from "
                    + "pg_inherits where inhparent = 'ledger.event'::regclass limit 1); end $$"
            ], "event_refuse_change of event_20"
        ),
        (["drop trigger event_refuse_change on ledger.event"], "event_refuse_change of event "),
        (["drop trigger job_refuse_statement on ledger.job"], "job_refuse_statement of job "),
        (["alter table ledger.job_head enable replica trigger job_head_refuse_statement"], "job_head_refuse_statement"),
        (["grant update on ledger.event to progress_ledger_service"], "progress_ledger_service may update event"),
        (["grant update (done) on ledger.event to progress_ledger_service"], "may update event"),
        (["grant truncate on ledger.job to public"], "everybody may truncate job"),
        (["grant update on ledger.job_head to progress_ledger_service"], "may change the job of a head"),
        (["grant delete on ledger.job_head to progress_ledger_service"], "may delete job_head"),
        (
            [
                "create or replace function ledger.refuse_change() returns trigger language plpgsql as "
                    + "$$ begin return new; end $$"
            ], "refuse_change() is missing or was changed"
        ),
        (["revoke insert on ledger.event from progress_ledger_service"], "lacks insert on event"),
        (["revoke usage on schema ledger from progress_ledger_service"], "may not use the schema"),
        (
            ["revoke execute on function ledger.make_event_partitions(integer) from progress_ledger_service"],
            "may not call make_event_partitions"
        ),
    ]

    @Test("a weakened guarantee is named, and migrate restores it", arguments: weakenings.indices)
    func repaired(_ index: Int) async throws {
        let weakening = Self.weakenings[index]
        try await withLedgerDatabase { target in
            try await run(target, weakening.statements)
            let faults = try await migrator(target).guaranteeFaults()
            #expect(faults.contains { $0.contains(weakening.fault) }, "\(faults)")
            let outcome = try await migrator(target).migrateAndRepair()
            #expect(outcome.applied.isEmpty && outcome.faults.isEmpty && outcome.repaired == faults)
            #expect(try await migrator(target).guaranteeFaults() == [])
        }
    }

    /// Faults that a person has to decide about.
    private static let intrusions: [(statements: [String], fault: String)] = [
        (["create rule quiet as on delete to ledger.job do instead nothing"], "job has a rule, quiet"),
        (["alter table ledger.job enable row level security"], "job hides rows"),
        (["alter table ledger.stuck_job owner to pg_monitor"], "stuck_job belongs to pg_monitor"),
    ]

    @Test("faults that migrate leaves to a person are reported before and after it", arguments: intrusions.indices)
    func reported(_ index: Int) async throws {
        let intrusion = Self.intrusions[index]
        try await withLedgerDatabase { target in
            try await run(target, intrusion.statements)
            let faults = try await migrator(target).guaranteeFaults()
            #expect(faults.contains { $0.contains(intrusion.fault) }, "\(faults)")
            let outcome = try await migrator(target).migrateAndRepair()
            #expect(outcome.faults == faults && outcome.repaired.isEmpty)
        }
    }

    @Test("readiness and status name a trigger that a restore with --disable-triggers weakened")
    func readiness() async throws {
        try await withLedgerDatabase { target in
            // These statements are what pg_restore --data-only --disable-triggers runs around the data of a table.
            try await run(
                target, ["alter table ledger.job disable trigger all", "alter table ledger.job enable trigger all"])
            try await withRunningLedger(on: target) { ledger in
                let check = try #require(await ledger.readiness().checks.first { $0.name == "guarantees" })
                #expect(!check.isPassed && check.detail.contains("job_refuse_statement of job"), "\(check)")
                #expect(check.detail.contains("progress-ledger migrate"))
                #expect(check.detail.contains("job_refuse_deletion of job"))
                #expect(try await ledger.status().guaranteeFaults.count == 2)
                let figure = await ledger.statistics().first { $0.name == "progress_ledger_guarantee_faults" }
                #expect(figure?.value == 2)
            }
        }
    }

    @Test("the head of a job cannot be deleted or truncated, even by the owner")
    func headsStay() async throws {
        try await withLedgerDatabase { target in
            for statement in ["delete from ledger.job_head", "truncate ledger.job_head"] {
                let error = await #expect(throws: PQError.self) { try await run(target, [statement]) }
                #expect(error?.sqlState?.rawValue == "LG001", "\(statement)")
            }
        }
    }
}
