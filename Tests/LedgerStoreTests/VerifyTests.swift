import Ledger
import LedgerChain
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// Verification finds and names every change by a database superuser.
@Suite("Verification")
struct VerifyTests {
    /// A change by a superuser and the fault that verification must report.
    ///
    /// `$1` is the job, `$2` another one.
    struct Tampering: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let sql: String
        let kind: Verification.Kind
        let sequence: EventSequence
    }

    static let tamperings = [
        Tampering(
            testDescription: "a number is edited",
            sql: "update ledger.event set done = 7 where job_id = $1 and sequence = 5", kind: .altered, sequence: 5),
        Tampering(
            testDescription: "a field is added",
            sql: "update ledger.event set at = now() where job_id = $1 and sequence = 4",
            kind: .altered, sequence: 4),
        Tampering(
            testDescription: "the head's time is changed",
            sql: "update ledger.job_head set recorded_at = recorded_at + interval '10 years' where job_id = $1",
            kind: .head, sequence: 10),
        Tampering(
            testDescription: "a column that the event's type does not have is filled",
            sql: "update ledger.event set name = 'hidden' where job_id = $1 and sequence = 4", kind: .altered,
            sequence: 4),
        Tampering(
            testDescription: "tags are added to an event that is not job_created",
            sql: #"update ledger.event set tags = '{"a": "b"}' where job_id = $1 and sequence = 5"#,
            kind: .altered, sequence: 5),
        Tampering(
            testDescription: "the first event gets a number",
            sql: "update ledger.event set done = 1 where job_id = $1 and sequence = 1", kind: .altered, sequence: 1),
        Tampering(
            testDescription: "the time of an event is changed",
            sql:
                "update ledger.event set recorded_at = recorded_at - interval '1 us' where job_id = $1 and sequence = 6",
            kind: .altered, sequence: 6),
        Tampering(
            testDescription: "a hash is edited",
            sql: "update ledger.event set hash = sha256('x') where job_id = $1 and sequence = 3", kind: .altered,
            sequence: 3),
        Tampering(
            testDescription: "an event is deleted", sql: "delete from ledger.event where job_id = $1 and sequence = 5",
            kind: .missing, sequence: 5),
        Tampering(
            testDescription: "the first event is deleted",
            sql: "delete from ledger.event where job_id = $1 and sequence = 1", kind: .missing, sequence: 1),
        Tampering(
            testDescription: "the end is cut off", sql: "delete from ledger.event where job_id = $1 and sequence > 7",
            kind: .missing, sequence: 8),
        Tampering(
            testDescription: "all events are deleted", sql: "delete from ledger.event where job_id = $1",
            kind: .missing,
            sequence: 1),
        Tampering(
            testDescription: "two events are swapped",
            sql: """
                update ledger.event as event
                set recorded_at = other.recorded_at, report = other.report, done = other.done, hash = other.hash
                from ledger.event as other
                where event.job_id = $1 and event.sequence in (4, 5)
                    and other.job_id = $1 and other.sequence = 9 - event.sequence
                """, kind: .altered, sequence: 4),
        Tampering(
            testDescription: "an event is replaced by one of another job",
            sql: """
                update ledger.event as event
                set recorded_at = other.recorded_at, report = other.report, done = other.done, hash = other.hash
                from ledger.event as other
                where event.job_id = $1 and event.sequence = 5 and other.job_id = $2 and other.sequence = 5
                """, kind: .altered, sequence: 5),
        Tampering(
            testDescription: "an event is added beyond the head",
            sql: """
                insert into ledger.event
                select job_id, 11, recorded_at, at, report, total, done, attempt, type, hash, task, execution, label,
                    outcome, name, key, tags
                from ledger.event where job_id = $1 and sequence = 10
                """, kind: .surplus, sequence: 11),
        Tampering(
            testDescription: "the head is set back",
            sql: "update ledger.job_head set sequence = 8 where job_id = $1", kind: .surplus, sequence: 9),
        Tampering(
            testDescription: "the head's hash is edited",
            sql: "update ledger.job_head set hash = sha256('x') where job_id = $1", kind: .head, sequence: 10),
        Tampering(
            testDescription: "the head is deleted", sql: "delete from ledger.job_head where job_id = $1", kind: .head,
            sequence: 10),
        Tampering(
            testDescription: "the job is renamed", sql: "update ledger.job set name = 'other' where job_id = $1",
            kind: .description, sequence: 1),
        Tampering(
            testDescription: "a tag is added", sql: #"update ledger.job set tags = '{"a":"b"}' where job_id = $1"#,
            kind: .description, sequence: 1),
    ]

    private func fill(_ ledger: PostgresLedger) async throws -> JobID {
        let job = try await ledger.createJob(JobDescription(name: "n", tags: ["e\u{301}": "1", "\u{e9}": "2"])).view.id
        let drafts = (Int64(1)...9).map { number in
            EventDraft(
                .progress(
                    ProgressReport(
                        reference: ExecutionReference(task: "t", execution: "e"), report: number, label: "\u{1F4C8}",
                        total: 3, done: number)))
        }
        _ = try await ledger.append(drafts, to: job)
        return job
    }

    @Test("changes that bypass the database's rules are found and named", arguments: tamperings)
    func tampering(_ tampering: Tampering) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await fill(ledger)
                let other = try await fill(ledger)
                let before = try #require(try await ledger.verify(job, Verification.Range()))
                #expect(before.isIntact && before.sequence == 10, "\(before)")
                let changed = try await tamper(target, tampering.sql, [job, other])
                #expect(changed > 0, "the tampering must change a row")
                let after = try #require(try await ledger.verify(job, Verification.Range()))
                #expect(after.fault?.kind == tampering.kind, "\(after)")
                #expect(after.fault?.sequence == tampering.sequence, "\(after)")
                let untouched = try #require(try await ledger.verify(other, Verification.Range()))
                #expect(untouched.isIntact)
            }
        }
    }

    @Test("verification of an unknown job returns nil")
    func unknownJob() async throws {
        try await withLedger(projection: nil) { ledger in
            let found = try await ledger.verify(JobID(high: 1, low: 2), Verification.Range())
            #expect(found == nil)
        }
    }

    @Test("a job that grows during verification is whole, and pages are joined correctly")
    func growingJob() async throws {
        try await withLedger(projection: nil) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = Array(
                repeating: EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1))),
                count: 5_000)
            _ = try await ledger.append(drafts, to: job)
            let writer = Task {
                for _ in 0..<50 { _ = try await ledger.append([drafts[0]], to: job) }
            }
            for _ in 0..<5 {
                let verification = try #require(try await ledger.verify(job, Verification.Range()))
                #expect(verification.isIntact && verification.sequence >= 5_001, "\(verification)")
            }
            try await writer.value
            let verification = try #require(try await ledger.verify(job, Verification.Range()))
            #expect(verification.isIntact && verification.sequence == 5_051)
        }
    }

    @Test("a ledger can be verified in ranges, each starting at the end of the previous one")
    func ranges() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await fill(ledger)
                var range = Verification.Range(limit: 3)
                var found: [EventSequence] = []
                while true {
                    let verification = try #require(try await ledger.verify(job, range))
                    #expect(verification.isIntact && verification.ledgerSequence == 10)
                    found.append(verification.sequence)
                    range.after = ChainPosition(
                        sequence: verification.sequence, hash: verification.headHash)
                    if verification.isComplete { break }
                }
                #expect(found == [3, 6, 9, 10])
                // A change in the part that was verified before is found too.
                let changed = try await tamper(
                    target, "update ledger.event set hash = sha256('x') where job_id = $1 and sequence = 6", [job])
                #expect(changed == 1)
                let sixth = try #require(
                    try await ledger.verify(
                        job,
                        Verification.Range(
                            after: ChainPosition(sequence: 6, hash: EventHash(7, 7, 7, 7)))))
                #expect(sixth.fault?.kind == .altered && sixth.fault?.sequence == 6)
            }
        }
    }

    @Test("session_replication_role does not disable the triggers that refuse changes")
    func replicationRole() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await fill(ledger)
                var settings = Pool.Settings()
                settings.session.settings = [("session_replication_role", "replica")]
                let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
                for sql in ["update ledger.event set done = 7", "delete from ledger.event", "truncate ledger.event"] {
                    let error = await #expect(throws: PQError.self) { try await pool.query(Query(sql)) }
                    #expect(error?.sqlState?.rawValue == "LG001", "\(sql)")
                }
                await pool.close()
                #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
            }
        }
    }

    /// Rewritings that leave a consistent chain: only an anchor detects them.
    enum Rewriting: String, CaseIterable {
        case rewritesAll, cutsTheEnd, movesToAnotherJob
    }

    @Test("a consistent chain that differs from the anchor is found", arguments: Rewriting.allCases)
    func anchors(_ rewriting: Rewriting) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await fill(ledger)
                let head = try #require(try await ledger.heads(after: nil, limit: 10).first?.position)
                #expect(head.sequence == 10)
                let range = Verification.Range(anchor: head)
                #expect(try await ledger.verify(job, range)?.isIntact == true)
                switch rewriting {
                case .rewritesAll:
                    try await rewrite(target, ledger, job) { $0.event = $0.event.aMicrosecondLater }
                case .cutsTheEnd: try await rewrite(target, ledger, job, through: 7) { _ in }
                case .movesToAnotherJob:
                    let other = try await fill(ledger)
                    try await rewrite(target, ledger, job, from: other) { _ in }
                }
                let alone = try #require(try await ledger.verify(job, Verification.Range()))
                #expect(alone.isIntact, "the chain alone must not detect the change: \(alone)")
                let found = try #require(try await ledger.verify(job, range))
                #expect(found.fault?.kind == .anchor, "\(found)")
            }
        }
    }

    /// Rewrites a job's ledger with a consistent chain and head.
    private func rewrite(
        _ target: ConnectionTarget, _ ledger: PostgresLedger, _ job: JobID, from other: JobID? = nil,
        through last: EventSequence = 10, _ change: (inout RecordedEvent) -> Void
    ) async throws {
        let source = try #require(try await ledger.excerpt(other ?? job, after: 0, limit: 100))
        _ = try await tamper(target, "delete from ledger.event where job_id = $1 and sequence > \(last)", [job])
        var chain = HashChain(job: job)
        var lastHash = EventHash.none
        var lastTime = Timestamp(microseconds: 0)
        for var recorded in source.events where recorded.event.sequence <= last {
            change(&recorded)
            lastHash = chain.append(recorded.event)
            lastTime = recorded.event.recordedAt
            // PostgreSQL 14 refuses an interval of so many microseconds.
            let (seconds, rest) = lastTime.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
            let time = "to_timestamp(0) + interval '\(seconds) s \(rest) us'"
            let hash = "decode('\(lastHash)', 'hex')"
            let changed = try await tamper(
                target,
                "update ledger.event set recorded_at = \(time), hash = \(hash) where job_id = $1 and sequence = \(recorded.event.sequence)",
                [job])
            #expect(changed == 1)
            _ = try await tamper(
                target,
                "update ledger.job_head set sequence = \(recorded.event.sequence), recorded_at = \(time), hash = \(hash) where job_id = $1",
                [job])
            if recorded.event.sequence == 1 {
                _ = try await tamper(target, "update ledger.job set created_at = \(time) where job_id = $1", [job])
            }
        }
    }
}
