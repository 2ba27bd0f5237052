import Foundation
import Glibc
import Ledger
import LedgerTestSupport
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("serve with shards, and shards", .timeLimit(.minutes(10)))
struct ShardsCommandTests {
    @Test("a ledger is divided, served, grown and drained while it is served")
    func dividesAndGrows() async throws {
        try await withLedgerDatabases(3) { targets in
            let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).shards").path()
            let lines = targets.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value.description)" }
            try Data(("# the databases\n\n" + lines.joined(separator: "\n")).utf8).write(to: URL(filePath: file))
            defer { TestFiles.remove(file) }
            func shards(_ arguments: String...) async throws -> CommandRun {
                try await CommandRun.run(ServerProcess.binary, ["shards"] + arguments + ["--shards", file])
            }

            let before = try await shards("list")
            #expect(before.lines.count == 4 && before.output.contains("not a shard"), "\(before.output)")
            let early = try await CommandRun.ledger("serve", "--port", "0", "--shards", file)
            #expect(early.status == ExitStatus.schema.rawValue)
            #expect(early.errors.contains("progress-ledger shards add"), "\(early.errors)")
            let incomplete = try await shards("add", "1")
            #expect(incomplete.status == ExitStatus.refused.rawValue, "\(incomplete.errors)")
            let added = try await shards("add", "0", "1")
            #expect(added.status == 0, "\(added.errors)")
            #expect(added.output.contains("512"), "\(added.output)")
            let again = try await shards("add", "1")
            #expect(again.status == ExitStatus.refused.rawValue)

            let single = try await CommandRun.ledger("serve", "--database", try #require(targets[0]).description)
            #expect(single.status == ExitStatus.usage.rawValue)
            #expect(single.errors.contains("is shard 0 of a divided ledger"), "\(single.errors)")

            let server = try ServerProcess(["serve", "--port", "0", "--shards", file])
            let url = try await server.url()
            for number in 0..<12 {
                let created = try await CommandRun.run(
                    "/usr/bin/curl",
                    [
                        "--silent", "--fail", "--data", "{\"name\":\"n\",\"key\":\"key \(number)\"}", "--header",
                        "Content-Type: application/json", "\(url)/v1/jobs",
                    ])
                #expect(created.output.contains("\"job\":"), "\(created.errors)")
            }
            let grown = try await shards("add", "2")
            #expect(grown.status == 0 && grown.output.contains("341"), "\(grown.output)\(grown.errors)")
            let drained = try await shards("drain", "1", "--json")
            #expect(drained.status == 0 && drained.output.contains("\"slots\":0"), "\(drained.output)")

            let list = try await CommandRun.ledger("jobs", "--server", url)
            #expect(list.lines.count == 13, "\(list.output)")
            let row = try #require(list.lines.dropFirst().first)
            let job = try #require(row.split(separator: " ").first.map(String.init))
            for shard in ["1", "0"] {
                let moved = try await shards("move", job, "--to", shard)
                #expect(moved.status == 0, "\(moved.errors)")
                let isMoved = moved.output.contains("to shard \(shard): events 1 to 1,")
                #expect(isMoved || moved.output.contains("already"), "\(moved.output)")
            }
            let repeated = try await shards("move", job, "--to", "0", "--json")
            #expect(repeated.status == 0 && repeated.output.contains("\"to\":0,\"events\":null"), "\(repeated.output)")
            let missing = try await shards("move", "01900000-0000-7000-8000-000000000000", "--to", "0")
            #expect(missing.status == ExitStatus.notFound.rawValue, "\(missing.errors)")
            let verified = try await CommandRun.ledger("verify", "--all", "--server", url)
            #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
            let status = try await eventually({ $0.output.contains("shard    1: 0 slots") }) {
                try await CommandRun.ledger("status", "--server", url)
            }
            #expect(status.output.contains("shard    2: 512 slots of new jobs; 0 jobs behind"), "\(status.output)")
            let metrics = try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"])
            #expect(metrics.output.contains("progress_ledger_database_reachable{shard=\"2\"} 1"))
            server.send(SIGTERM)
            try await server.wait()
            #expect(server.exitCode == 0)
        }
    }

    @Test(
        "an error in the file of shards is reported with its line",
        arguments: [
            ("0 host=a", "line 1: expected NUMBER = CONNECTION STRING"),
            ("\n256 = host=a", "line 2: expected NUMBER = CONNECTION STRING"),
            ("0 = host=a\n0 = host=b", "line 2: shard 0 is given twice"), ("# none", "names no shard"),
            ("0 = nonsense", "line 1: cannot read the connection string"),
        ])
    func mistakesAreNamed(text: String, message: String) {
        let failure = #expect(throws: CommandFailure.self) { try ShardFile(text, path: "f") }
        #expect(failure?.description.contains(message) == true, "\(String(describing: failure))")
    }
}
