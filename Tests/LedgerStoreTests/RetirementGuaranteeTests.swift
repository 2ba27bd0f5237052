import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Guarantees about retirement", .serialized)
struct RetirementGuaranteeTests {
    /// Runs statements as a role, and returns the SQLSTATE of the first failure.
    private func failure(_ target: ConnectionTarget, as role: String?, _ statements: [String]) async throws -> String? {
        let prefix = role.map { ["set role \($0)"] } ?? []
        do {
            try await TestCluster.run(prefix + statements, on: target, logger: TestCluster.logger)
            return nil
        } catch let error as PQError {
            return error.sqlState?.rawValue ?? "none"
        }
    }

    private static let record = """
        insert into ledger.retirement (job_id, sequence, hash, export_sha256, export_place, state)
        select job_id, sequence, hash, hash, 'nowhere', 'completed' from ledger.job_head
        """
    private static let wrongRecord = """
        insert into ledger.retirement (job_id, sequence, hash, export_sha256, export_place, state)
        select job_id, sequence, sha256(hash), hash, 'nowhere', 'completed' from ledger.job_head
        """
    private static let permits = "select set_config('ledger.retires_jobs', 'on', false)"
    private static let call = """
        select ledger.retire_jobs(array[job_id], array[sequence], array[hash], hash, 'nowhere', true) from ledger.job_head
        """

    /// Attempts of the service: the statements, and the SQLSTATE of the refusal.
    private static let attempts: [(statements: [String], state: String)] = [
        ([permits, "delete from ledger.event"], "42501"), ([record], "42501"), ([call], "42501"),
        (["update ledger.job_head set retired_hash = hash"], "42501"),
        (["delete from ledger.retirement"], "42501"), (["drop table ledger.retirement"], "42501"),
        (["alter table ledger.event detach partition ledger.event_2024_03"], "42501"),
    ]

    @Test("the service can neither retire a job nor forge a record, directly or by the function")
    func service() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                let job = try await PastJob.add(to: ledger)
                for attempt in Self.attempts {
                    let state = try await failure(target, as: "progress_ledger_service", attempt.statements)
                    #expect(state == attempt.state, "\(attempt.statements)")
                }
                #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
                let found = try await ledger.retirement(of: job)
                #expect(found == nil)
            }
        }
    }

    /// A transaction that deletes events after other statements.
    private static func deletion(after statements: String) -> String {
        """
        do $$
        begin
            \(statements);
            perform set_config('ledger.retires_jobs', 'on', true);
            delete from ledger.event;
        end
        $$
        """
    }

    /// Attempts of the owner: the statements, and the SQLSTATE of the refusal.
    private static let ownerAttempts: [(statements: [String], state: String)] = [
        (["delete from ledger.event"], "LG001"), ([permits, "delete from ledger.event"], "LG001"),
        ([permits, "delete from ledger.event_2024_03"], "LG001"),
        ([deletion(after: record)], "LG001"),
        ([deletion(after: "\(wrongRecord); update ledger.job_head set retired_hash = hash")], "LG001"),
        (["update ledger.job_head set retired_hash = sha256(hash)"], "23514"),
        (
            [
                "select ledger.retire_jobs(array[job_id], array[sequence], array[sha256(hash)], hash, 'x', true) "
                    + "from ledger.job_head"
            ], "LG005"
        ),
        ([call, "update ledger.retirement set export_place = 'elsewhere'"], "LG001"),
        (["delete from ledger.retirement"], "LG001"), (["truncate ledger.retirement"], "LG001"),
    ]

    @Test("even the owner deletes no event without a record with the hash of the head")
    func owner() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                for (number, attempt) in Self.ownerAttempts.enumerated() {
                    _ = try await PastJob.add(number: UInt64(number), to: ledger)
                    let state = try await failure(target, as: nil, attempt.statements)
                    #expect(state == attempt.state, "\(attempt.statements)")
                }
            }
        }
    }

    /// Changes that weaken the guarantee, and a part of the fault.
    private static let weakenings: [(statement: String, fault: String)] = [
        ("grant insert on ledger.retirement to progress_ledger_service", "may insert retirement"),
        ("grant delete on ledger.retirement to public", "may delete retirement"),
        ("grant update (retired_hash) on ledger.job_head to progress_ledger_service", "the retirement of a head"),
        ("drop trigger retirement_refuse_statement on ledger.retirement", "retirement_refuse_statement of retirement"),
        ("alter table ledger.job_head drop constraint job_head_retired", "constraint job_head_retired"),
        (
            "grant execute on function ledger.retire_jobs(uuid[], bigint[], bytea[], bytea, text, boolean) to public",
            "everybody may call retire_jobs"
        ),
        (
            "grant execute on function ledger.retire_jobs(uuid[], bigint[], bytea[], bytea, text, boolean) to "
                + "progress_ledger_service", "progress_ledger_service may call retire_jobs"
        ),
    ]

    @Test("a weakened protection of retirements is named, and migrate restores it", arguments: weakenings.indices)
    func repaired(_ index: Int) async throws {
        let weakening = Self.weakenings[index]
        try await withLedgerDatabase { target in
            let migrator = Migrator(target: target, logger: TestCluster.logger)
            try await TestCluster.run([weakening.statement], on: target, logger: TestCluster.logger)
            let faults = try await migrator.guaranteeFaults()
            #expect(faults.contains { $0.contains(weakening.fault) }, "\(faults)")
            let result = try await migrator.migrateAndRepair()
            #expect(result.faults.isEmpty && result.repaired == faults, "\(result.faults)")
        }
    }
}
