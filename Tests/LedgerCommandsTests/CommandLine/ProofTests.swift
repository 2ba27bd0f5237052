import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

/// Audits by the ledger's own command and by a second, independent implementation.
@Suite("Verification on the command line", .timeLimit(.minutes(10)))
struct ProofTests {
    /// Creates a job with every type of event, every field and unusual names.
    private func fill(_ client: LedgerClient) async throws -> JobID {
        let job = try await client.createJob(
            JobDescription(
                name: "\u{5E2}\u{5D1}\u{5E8}\u{5D9}\u{5EA} \u{1F469}\u{200D}\u{1F4BB}", key: "k",
                tags: ["e\u{301}": "1", "\u{e9}": "", "z\u{10FFFF}": "2"])
        ).id
        let unusual = ExecutionReference(task: "a'\"\\<b>\u{202E}", execution: "e\u{301}", attempt: 3)
        let drafts: [EventDraft] = [
            EventDraft(.executionStarted(unusual), at: Timestamp(microseconds: -1)),
            EventDraft(
                .progress(
                    ProgressReport(reference: unusual, report: 9_007_199_254_740_991, label: "\u{1F4C8}", total: 0)),
                at: .latest),
            EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t")))),
            EventDraft(.executionFinished(ExecutionReference(task: "t", attempt: 2), .canceled)),
            EventDraft(.jobFinished(.completed)),
        ]
        _ = try await client.append(drafts, to: job)
        for seed in UInt64(1)...3 {
            let random = RandomHistory.events(count: 150, seed: seed).dropFirst().map { EventDraft($0.body, at: $0.at) }
            _ = try await client.append(Array(random), to: job, awaitsVerdicts: true)
        }
        return job
    }

    @Test("a second implementation of the hash chain agrees, and detects a changed history")
    func audits() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await fill(client)
            let own = try await CommandRun.ledger("verify", job.description, "--json", "--server", url)
            #expect(own.status == 0, "\(own.errors)")
            let found = try VerificationResponse(try JSONReader.read(Array(own.output.utf8)))
            #expect(found.verification.isIntact && found.verification.sequence == 453)

            let pipe = #""$0" events "$1" --all --json --server "$2" | sed "$4" | "$3/Scripts/audit-chain" "$1""#
            func audit(_ edit: String) async throws -> CommandRun {
                try await CommandRun.run(
                    "/bin/bash", ["-c", pipe, ServerProcess.binary, job.description, url, projectFolder, edit])
            }
            let other = try await audit("")
            #expect(other.status == 0, "\(other.output) \(other.errors)")
            #expect(other.output == "whole through 453 \(found.verification.headHash)\n")

            let edited = try await audit(#"5s/"outcome":"canceled"/"outcome":"failed"/"#)
            #expect(
                edited.status == 1 && edited.output.hasPrefix("event 5 does not match its hash"), "\(edited.output)")
            let shortened = try await audit("7d")
            #expect(shortened.status == 1 && shortened.output.hasPrefix("event 7 is missing"), "\(shortened.output)")
            let nothing = try await audit("d")
            #expect(nothing.status == 1 && nothing.output.hasPrefix("no event was read"), "\(nothing.output)")
            let damaged = try await audit("2s/.*/{bad/")
            #expect(damaged.status == 1 && damaged.output.hasPrefix("line 2 is not an event"), "\(damaged.output)")
        }
    }

    @Test("verify --all names damaged jobs and exits with its own code")
    func verifiesAll() async throws {
        try await withLedgerDatabase { target in
            let server = try ServerProcess(["serve", "--port", "0", "--database", target.description])
            let url = try await server.url()
            let client = try LedgerClient(url: url)
            let whole = try await client.createJob(JobDescription(name: "whole")).id
            let damaged = try await client.createJob(JobDescription(name: "damaged")).id
            let before = try await CommandRun.ledger("verify", "--all", "--server", url)
            #expect(before.status == 0)
            #expect(before.lines == ["\(whole)  whole through 1", "\(damaged)  whole through 1"])
            #expect(before.errors.contains("2 jobs checked, 0 not as recorded; 2 events"))

            let pool = Pool(target: target, logger: TestCluster.logger)
            _ = try await pool.query(
                Query(
                    "update ledger.job_head set hash = sha256('x') where job_id = $1",
                    [.uuid(UUIDBytes(high: damaged.high, low: damaged.low))]))
            await pool.close()
            let after = try await CommandRun.ledger("verify", "--all", "--server", url)
            #expect(after.status == ExitStatus.verificationFailed.rawValue)
            #expect(
                after.lines.last == "\(damaged)  head at 1: the hash of the head differs from that of the last event")
            let one = try await CommandRun.ledger("verify", damaged.description, "--server", url)
            #expect(one.status == ExitStatus.verificationFailed.rawValue)
            let unknown = try await CommandRun.ledger(
                "verify", "01900000-0000-7000-8000-000000000000", "--server", url)
            #expect(unknown.status == ExitStatus.notFound.rawValue)
            server.send(SIGTERM)
            try await server.wait()
        }
    }
}
