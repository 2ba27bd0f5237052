import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("Audit commands", .timeLimit(.minutes(10)))
struct AuditTests {
    /// Runs the body with a temporary folder.
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "audit-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder.path()) }
        try await body(folder.path())
    }

    private func demo(_ url: String) async throws -> String {
        let run = try await CommandRun.ledger("demo", "--server", url, "--speed", "0", "--json")
        #expect(run.status == 0, "\(run.errors)")
        return try JobView(try JSONReader.read(Array(run.output.utf8))).id.description
    }

    @Test("an anchor proves the heads that it contains; a changed anchor proves nothing")
    func anchors() async throws {
        try await withLedgerDatabase { target in
            let server = try ServerProcess(["serve", "--port", "0", "--database", target.description])
            let url = try await server.url()
            try await withFolder { folder in
                let job = try await demo(url)
                let (key, file) = ("\(folder)/key", "\(folder)/anchor")
                #expect(try await CommandRun.ledger("anchor", "--new-key", key).status == 0)
                #expect(try await CommandRun.ledger("anchor", "--new-key", key).status != 0, "a key was overwritten")
                let mode = try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions] as? Int
                #expect(mode == 0o600)
                let made = try await CommandRun.ledger("anchor", "--key", key, "--output", file, "--server", url)
                #expect(made.status == 0, "\(made.errors)")
                func verify(_ more: String...) async throws -> CommandRun {
                    try await CommandRun.run(
                        ServerProcess.binary,
                        ["verify", "--anchor", file, "--public-key", "\(key).pub", "--server", url] + more)
                }
                let intact = try await verify()
                #expect(intact.status == 0 && intact.lines == ["\(job)  whole through 44, anchored at 44"], "\(intact)")

                // Anchors signed by another key, and anchors changed after signing, are refused.
                _ = try await CommandRun.ledger("anchor", "--new-key", "\(folder)/other")
                let otherKey = try await CommandRun.ledger(
                    "verify", "--anchor", file, "--public-key", "\(folder)/other.pub", "--server", url)
                #expect(
                    otherKey.status == ExitStatus.verificationFailed.rawValue
                        && otherKey.errors.contains("was signed by the key"))
                let text = try String(contentsOfFile: file, encoding: .utf8)
                for (original, forged) in [
                    (" 44 ", " 43 "), ("jobs 1", "jobs 2"), ("created 2", "created 1"), ("\nsig", "\nSig"),
                ] {
                    try text.replacing(original, with: forged).write(toFile: file, atomically: true, encoding: .utf8)
                    let refused = try await verify()
                    #expect(refused.status == ExitStatus.verificationFailed.rawValue, "\(forged): \(refused)")
                    #expect(refused.output.isEmpty)
                }
                try text.write(toFile: file, atomically: true, encoding: .utf8)

                // Truncate the ledger so that the rest is consistent.
                let id = try #require(JobID(job))
                let changed = try await tamper(
                    target, "delete from ledger.event where job_id = $1 and sequence > 30", [id])
                #expect(changed == 14)
                _ = try await tamper(
                    target,
                    """
                    update ledger.job_head as head set sequence = 30, hash = event.hash, recorded_at = event.recorded_at
                    from ledger.event where head.job_id = $1 and event.job_id = $1 and event.sequence = 30
                    """, [id])
                let withoutAnchor = try await CommandRun.ledger("verify", job, "--server", url)
                #expect(withoutAnchor.status == 0, "the chain alone finds nothing: \(withoutAnchor)")
                let cut = try await verify()
                #expect(cut.status == ExitStatus.verificationFailed.rawValue)
                #expect(
                    cut.output.contains("anchor at 31: the ledger was anchored at event 44, but ends at 30"), "\(cut)")

                // Remove the whole job.
                for table in ["run_summary", "snapshot", "job_head", "event", "job"] {
                    _ = try await tamper(target, "delete from ledger.\(table) where job_id = $1", [id])
                }
                let missing = try await verify()
                #expect(missing.lines == ["\(job)  missing: it was anchored at event 44"], "\(missing)")
                #expect(missing.status == ExitStatus.verificationFailed.rawValue)
            }
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    @Test("an export is verified without a server and imported elsewhere; a changed one is refused")
    func exports() async throws {
        try await withFolder { folder in
            let file = "\(folder)/demo.ndjson"
            var job = ""
            var shown = ""
            try await withServer { url, _ in
                job = try await demo(url)
                let made = try await CommandRun.ledger("export", job, "--output", file, "--server", url)
                #expect(made.status == 0, "\(made.errors)")
                let streamed = try await CommandRun.ledger("export", job, "--server", url)
                #expect(streamed.output == (try String(contentsOfFile: file, encoding: .utf8)))
                shown = try await CommandRun.ledger("show", job, "--json", "--server", url).output
            }
            let intact = try await CommandRun.ledger("verify", "--file", file)
            #expect(intact.lines == ["\(job)  whole through 44"] && intact.status == 0)
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let forged = "\(folder)/forged.ndjson"
            let lines = text.split(separator: "\n")
            let short = lines.dropLast().joined(separator: "\n")
            for change in [
                text.replacing("step1/2-b", with: "step1/2-c"),
                text.replacing(#""type":"progress""#, with: #""type":"progress","outcome":"failed""#), short,
                String(lines[0]), "", "x",
            ] {
                try change.write(toFile: forged, atomically: true, encoding: .utf8)
                let found = try await CommandRun.ledger("verify", "--file", forged)
                #expect(found.status != 0, "\(change.prefix(100))")
            }
            try await withServer { url, _ in
                try short.write(toFile: forged, atomically: true, encoding: .utf8)
                let refused = try await CommandRun.ledger("import", forged, "--server", url)
                #expect(
                    refused.status == ExitStatus.verificationFailed.rawValue
                        && refused.errors.contains("Nothing was sent"))
                #expect(
                    try await CommandRun.ledger("show", job, "--server", url).status == ExitStatus.notFound.rawValue)
                for expected in ["imported 44 events", "imported 0 events"] {
                    let run = try await CommandRun.ledger("import", file, "--server", url)
                    #expect(run.status == 0 && run.lines == [job], "\(run)")
                    #expect(run.errors.contains(expected), "\(run)")
                }
                let there = try await CommandRun.ledger("show", job, "--json", "--min-sequence", "44", "--server", url)
                // Ignore the server's time, which differs.
                let now = /"(now|at)":"[^"]*"/
                #expect(there.output.replacing(now, with: "") == shown.replacing(now, with: ""))
            }
        }
    }

    @Test("a replay reports differences, or none, and its exit code agrees")
    func replays() async throws {
        try await withLedgerDatabase { target in
            let server = try ServerProcess(["serve", "--port", "0", "--database", target.description])
            let url = try await server.url()
            let job = try await demo(url)
            let intact = try await CommandRun.ledger("replay", job, "--server", url)
            #expect(intact.status == 0 && intact.lines.last == "differs  nothing", "\(intact)")
            let changed = try await tamper(
                target,
                """
                with changed as (
                    update ledger.indicator
                    set counted_done = counted_done + 3, received_done = received_done + 3
                    where job_id = $1 and label = 'step1'
                    returning job_id
                )
                -- A server shows a cached response until this row changes.
                update ledger.snapshot as snapshot
                set sequence = snapshot.sequence
                from changed
                where snapshot.job_id = changed.job_id
                """, [try #require(JobID(job))])
            #expect(changed == 1)
            let differs = try await CommandRun.ledger("replay", "--server", url)
            #expect(differs.status == ExitStatus.differs.rawValue)
            #expect(differs.output.contains("counted 7/4") && differs.output.contains("counted 4/4"), "\(differs)")
            #expect(try await CommandRun.ledger("show", job, "--server", url).output.contains("step1: 7/4"))
            let applied = try await CommandRun.ledger("replay", "--apply", "--server", url)
            #expect(applied.status == ExitStatus.differs.rawValue)
            #expect(try await CommandRun.ledger("show", job, "--server", url).output.contains("step1: 4/4"))
            let id = try #require(applied.lines.first?.split(separator: " ").first.map(String.init))
            #expect(try await CommandRun.ledger("replay", "revert", id, "--server", url).status == 0)
            #expect(try await CommandRun.ledger("show", job, "--server", url).output.contains("step1: 7/4"))
            let dropped = try await CommandRun.ledger("replay", "drop", id, "--server", url)
            #expect(dropped.status == 0)
            #expect(dropped.output == "\(id)  dropped: it ended as reverted and keeps no data\n")
            let list = try await CommandRun.ledger("replay", "list", "--server", url)
            #expect(list.lines.count == 4 && list.lines[1].contains("reverted"), "\(list)")
            let all = try await CommandRun.ledger("replay", "--policy", "all", "--json", "--server", url)
            #expect(all.status == 0)
            #expect(try Replay(try JSONReader.read(Array(all.output.utf8))).differenceCount == 2)
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    @Test("the status is healthy while a worker runs, and reports when none does")
    func status() async throws {
        try await withLedgerDatabase { target in
            let database = ["--database", target.description]
            let server = try ServerProcess(["serve", "--port", "0", "--no-projection"] + database)
            let url = try await server.url()
            let worker = try ServerProcess(["project"] + database)
            func status() async throws -> CommandRun { try await CommandRun.ledger("status", "--server", url) }
            try await eventually({ $0.contains("  yes  ") }) { try await status().output }
            _ = try await demo(url)
            let healthy = try await status()
            #expect(healthy.hasNoProblem, "\(healthy)")
            #expect(
                healthy.lines.first == "behind   nothing: all snapshots are up to date",
                "\(healthy)")
            worker.send(SIGTERM)
            try await worker.wait()
            #expect(try await status().output.contains("none: projection is stopped"))
            let client = try LedgerClient(url: url)
            _ = try await client.append(
                [EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))],
                to: try await client.createJob(JobDescription(name: "n")).id)
            let withoutWorker = try await status()
            #expect(
                withoutWorker.status == ExitStatus.failed.rawValue
                    && withoutWorker.errors.contains("no worker is running"), "\(withoutWorker)")
            server.send(SIGTERM)
            try await server.wait()
        }
    }
}
