import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import Testing

@testable import LedgerCommands

@Suite("The token command", .timeLimit(.minutes(10)))
struct TokenCommandTests {
    @Test("the first token is created in the database, and from then on the server asks for one")
    func firstToken() async throws {
        try await withLedgerDatabase { target in
            let database = target.description
            let open = try await CommandRun.ledger("serve", "--host", "0.0.0.0", "--port", "0", "--database", database)
            #expect(open.status == ExitStatus.usage.rawValue && open.errors.contains("token create"), "\(open.errors)")
            let none = try await CommandRun.ledger("token", "list", "--database", database)
            #expect(none.status == 0 && none.output.contains("no token"), "\(none)")

            let server = try ServerProcess(["serve", "--port", "0", "--database", database])
            let url = try await server.url()
            let early = try await CommandRun.ledger("token", "create", "x", "--scope", "admin", "--server", url)
            #expect(early.status != 0 && early.errors.contains("--direct"), "\(early.errors)")
            let made = try await CommandRun.ledger(
                "token", "create", "admin", "--scope", "admin", "--database", database)
            #expect(made.status == 0 && !made.errors.contains("scope admin"), "\(made.errors)")
            let admin = try #require(made.lines.first)
            #expect(made.lines.count == 1 && admin.hasPrefix("pl_") && !made.errors.contains(admin))
            // The server knows it by now.
            let refused = try await CommandRun.ledger("jobs", "--server", url)
            #expect(refused.errors.contains("PROGRESS_LEDGER_TOKEN"), "\(refused.errors)")

            func ledger(_ token: String, _ arguments: String...) async throws -> CommandRun {
                try await CommandRun.run(
                    ServerProcess.binary, arguments + ["--server", url],
                    environment: ["PROGRESS_LEDGER_TOKEN": token])
            }
            #expect(try await ledger(admin, "jobs").status == 0)
            let worker = try await ledger(
                admin, "token", "create", "team a", "--scope", "report", "--scope", "read", "--tag", "team=a",
                "--expires", "90d", "--json")
            #expect(worker.status == 0, "\(worker.errors)")
            let created = try JSONReader.read(Array(worker.output.utf8))
            #expect(created["created_by"]?.text == "token:admin")
            let text = try #require(created["token"]?.text)
            let demo = try await ledger(text, "demo", "--speed", "0", "--json")
            #expect(demo.status == 0, "\(demo.errors)")
            let job = try JobView(JSONReader.read(Array(demo.output.utf8)))
            #expect(job.description.tags["team"] == "a")
            let events = try await ledger(text, "events", job.id.description)
            #expect(events.lines.first?.hasSuffix("REPORTER") == true && events.output.contains("token:team a"))
            let pipe = #""$0" events "$1" --all --json --server "$2" | "$3/Scripts/audit-chain" "$1""#
            let audit = try await CommandRun.run(
                "/bin/bash", ["-c", pipe, ServerProcess.binary, job.id.description, url, projectFolder],
                environment: ["PROGRESS_LEDGER_TOKEN": text])
            #expect(audit.output.hasPrefix("whole through \(job.snapshot.sequence) "), "\(audit)")
            let denied = try await ledger(text, "status")
            #expect(
                denied.status == ExitStatus.refused.rawValue && denied.errors.contains("whole ledger"),
                "\(denied.errors)")

            let list = try await ledger(admin, "token", "list")
            #expect(list.lines.count == 3 && list.output.contains("team=a"), "\(list.output)")
            #expect(!list.output.contains("pl_"))
            let direct = try await CommandRun.ledger("token", "list", "--database", database)
            #expect(direct.output.contains("team=a"))
            #expect(try await ledger(admin, "token", "revoke", "team a").status == 0)
            #expect(try await ledger(text, "jobs").status != 0)
            #expect(try await ledger(admin, "token", "revoke", "nobody").status == ExitStatus.notFound.rawValue)

            // A ledger with tokens may be reached from other machines.
            let public1 = try ServerProcess(["serve", "--host", "0.0.0.0", "--port", "0", "--database", database])
            _ = try await public1.url()
        }
    }

    @Test("a ledger without a valid admin token causes a warning")
    func missingAdmin() async throws {
        try await withLedgerDatabase { target in
            func warns(_ arguments: String...) async throws -> Bool {
                let run = try await CommandRun.run(
                    ServerProcess.binary, ["token"] + arguments + ["--database", target.description])
                #expect(run.status == 0, "\(arguments): \(run.errors)")
                return run.errors.contains("no valid token with the scope admin for all jobs")
            }
            let reader = try await warns("create", "reader", "--scope", "read")
            #expect(reader)
            #expect(try await warns("create", "team", "--scope", "admin", "--tag", "team=a"))
            #expect(try await warns("create", "first", "--scope", "admin") == false)
            #expect(try await warns("create", "second", "--scope", "admin") == false)
            #expect(try await warns("revoke", "first") == false)
            #expect(try await warns("revoke", "reader") == false)
            #expect(try await warns("revoke", "second"))
        }
    }

    @Test("a direct command creates no ledger, and a token that cannot be sent is named")
    func mistakes() async throws {
        let folder = "/tmp/token-\(UUID().uuidString)"
        let none = try await CommandRun.ledger("token", "create", "x", "--scope", "admin", "--data", folder)
        #expect(none.status == ExitStatus.usage.rawValue && none.errors.contains("no database in \(folder)"), "\(none)")
        #expect(!FileManager.default.fileExists(atPath: folder))
        for (value, isSent) in [("pl_x\n", true), (" pl_x\r\n", true), ("\"pl x\"", false), ("pl_\u{E9}", false)] {
            let run = try await CommandRun.ledger(
                "jobs", "--server", "http://127.0.0.1:1", environment: ["PROGRESS_LEDGER_TOKEN": value])
            let expected = isSent ? ExitStatus.unavailable.rawValue : ExitStatus.usage.rawValue
            #expect(run.status == expected, "\(value): \(run.errors)")
        }
    }

    @Test("an expiry is a time or a duration")
    func expiry() throws {
        let now = Timestamp(microseconds: 0)
        for (text, seconds) in [("1m", 60), ("12h", 43_200), ("90d", 7_776_000), ("1970-01-01T00:00:05Z", 5)] {
            #expect(Expiry(argument: text)?.moment(from: now).microseconds == Int64(seconds) * 1_000_000, "\(text)")
        }
        for text in ["", "d", "0d", "-1d", "1w", "1.5h", "99999999999d", "9223372036854775807d", "tomorrow"] {
            #expect(Expiry(argument: text) == nil, "\(text)")
        }
    }

    @Test("a token needs a scope, and a token of one job an expiry")
    func incomplete() async throws {
        for arguments in [
            ["token", "create", "x"], ["token", "create", "x", "--scope", "root"],
            ["token", "create", "x", "--scope", "read", "--job", "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"],
        ] {
            let run = try await CommandRun.run(ServerProcess.binary, arguments)
            #expect(run.status == 64 || run.status == ExitStatus.usage.rawValue, "\(run)")
        }
    }
}
