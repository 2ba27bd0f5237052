import Glibc
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("Commands behind PgBouncer", .timeLimit(.minutes(10)))
struct PoolerCommandTests {
    @Test("in session mode, migrate, serve, project and token work")
    func sessionMode() async throws {
        try await withTestDatabase { target in
            try await TestPooler.with("session", before: target) { pooled in
                let database = pooled.description
                for arguments in [["migrate"], ["migrate"], ["migrate", "--check"], ["migrate", "--print"]] {
                    let run = try await CommandRun.run(ServerProcess.binary, arguments + ["--database", database])
                    #expect(run.status == 0, "\(arguments): \(run.errors)")
                }
                // The server learns of the worker's snapshots only by notifications.
                let server = try ServerProcess(["serve", "--no-projection", "--port", "0", "--database", database])
                let worker = try ServerProcess(["project", "--database", database])
                let client = try LedgerClient(url: try await server.url())
                let job = try await client.createJob(JobDescription(name: "n"))
                let appended = try await client.append([EventDraft(.jobFinished(.completed))], to: job.id)
                let read = try await client.progress(of: job.id, minSequence: appended.sequences.upperBound)
                #expect(read.job.snapshot.state == .completed)
                let status = try await CommandRun.ledger("status", "--server", client.address.description)
                #expect(status.output.contains("PostgreSQL "), "\(status.output)\(status.errors)")
                let token = try await CommandRun.ledger(
                    "token", "create", "a", "--scope", "admin", "--database", database)
                #expect(token.status == 0, "\(token.errors)")
                for process in [worker, server] {
                    process.send(SIGTERM)
                    try await process.wait()
                    #expect(process.exitCode == 0, "\(process.printed)")
                    #expect(!process.printed.contains("[error]"), "\(process.printed)")
                }
            }
        }
    }

    @Test("in other modes, every command with a database exits with code 7 and the remedy")
    func otherModes() async throws {
        try await withTestDatabase { target in
            for mode in ["transaction", "statement"] {
                try await TestPooler.with(mode, before: target) { pooled in
                    for arguments in [
                        ["migrate"], ["migrate", "--check"], ["migrate", "--print"], ["serve", "--port", "0"],
                        ["serve", "--migrate", "--port", "0"], ["project"], ["token", "list"],
                    ] {
                        let run = try await CommandRun.run(
                            ServerProcess.binary, arguments + ["--database", pooled.description])
                        #expect(run.status == ExitStatus.schema.rawValue, "\(mode), \(arguments): \(run.errors)")
                        #expect(run.errors.contains("pool_mode = session"), "\(mode), \(arguments): \(run.errors)")
                        #expect(run.output.isEmpty)
                    }
                }
            }
            // None of them has changed the database.
            let check = try await CommandRun.ledger("migrate", "--check", "--database", target.description)
            #expect(check.output.contains("0001_ledger.sql"), "\(check.output)")
        }
    }
}
