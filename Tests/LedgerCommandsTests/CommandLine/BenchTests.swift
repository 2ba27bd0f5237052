import Foundation
import LedgerTestSupport
import Testing

@Suite("progress-ledger bench")
struct BenchTests {
    /// The time limit of a whole benchmark.
    ///
    /// Benchmarks compete with each other, and with all other tests of the target.
    private static let limit: Duration = .seconds(600)

    @Test("a benchmark prints figures for every requested row, and its proofs")
    func runs() async throws {
        let folder = "/tmp/progress-ledger-bench-test-\(UInt32.random(in: 0 ... .max))"
        let run = try ServerProcess([
            "bench", "--quick", "--json", "--rows", "6,10,11", "--replay-events", "10000", "--data", folder,
        ])
        try await run.wait(within: Self.limit)
        #expect(run.exitCode == 0, "\(run.printed)")
        let line = try #require(run.printed.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let rows = try #require(report["rows"] as? [[String: Any]])
        #expect(
            rows.compactMap { $0["row"] as? String } == ["6"] + Array(repeating: "10", count: 4)
                + Array(repeating: "11", count: 4))
        #expect(rows.allSatisfy { ($0["ours"] as? [Double])?.allSatisfy { $0 > 0 } ?? false })
        let proofs = try #require(report["proofs"] as? [String])
        #expect(proofs.contains { $0.hasPrefix("row 6: 10000 acknowledged events") && $0.hasSuffix("their sums") })
        #expect((report["machine"] as? [String: String])?["fsync"] == "on")
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("a quick benchmark measures watchers and growth too, and each part proves its events")
    func watchersAndGrowth() async throws {
        let folder = "/tmp/progress-ledger-bench-test-\(UInt32.random(in: 0 ... .max))"
        let run = try ServerProcess(["bench", "--quick", "--json", "--rows", "8,9", "--data", folder])
        try await run.wait(within: Self.limit)
        #expect(run.exitCode == 0, "\(run.printed)")
        let line = try #require(run.printed.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let rows = try #require(report["rows"] as? [[String: Any]])
        #expect(rows.count { $0["row"] as? String == "8" } == 4)
        #expect(rows.count { $0["row"] as? String == "9" } == 12)
        #expect(rows.allSatisfy { ($0["ours"] as? [Double])?.allSatisfy { $0 > 0 } ?? false })
        let proofs = try #require(report["proofs"] as? [String])
        #expect(proofs.contains { $0.hasPrefix("row 8: each of 200 watchers of one job was shown all") })
        #expect(proofs.count { $0.hasPrefix("row 9, ") && $0.hasSuffix("every snapshot shows their sums") } == 6)
    }

    @Test("a quick benchmark compares shards with one database, and proves its events")
    func shards() async throws {
        let folder = "/tmp/progress-ledger-bench-test-\(UInt32.random(in: 0 ... .max))"
        let run = try ServerProcess([
            "bench", "--quick", "--json", "--rows", "12", "--shards", "1,2", "--data", folder,
        ])
        try await run.wait(within: Self.limit)
        #expect(run.exitCode == 0, "\(run.printed)")
        let line = try #require(run.printed.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let rows = try #require(report["rows"] as? [[String: Any]])
        // Six loads with 1 and 2 shards, a list over 1, 4 and 8, and the fault.
        #expect(rows.count == 16 && rows.allSatisfy { $0["row"] as? String == "12" })
        #expect(rows.allSatisfy { ($0["ours"] as? [Double])?.allSatisfy { $0 > 0 } ?? false })
        #expect(rows.count { ($0["ratios"] as? [Double])?.count == 1 } == 15)
        let proofs = try #require(report["proofs"] as? [String])
        #expect(proofs.contains { $0.hasPrefix("row 12, 2 shards: ") && $0.hasSuffix("their sums") })
        #expect(proofs.contains { $0.hasPrefix("row 12, kill -9 of a shard: ") && $0.hasSuffix("their sums") })
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("a signal ends a benchmark, and leaves neither its PostgreSQL nor its folder", arguments: [SIGTERM, SIGINT])
    func signals(signal: Int32) async throws {
        let folder = "/tmp/progress-ledger-bench-test-\(UInt32.random(in: 0 ... .max))"
        let run = try ServerProcess(["bench", "--rows", "1", "--data", folder])
        let file = "\(folder)/postgresql/data/postmaster.pid"
        // The file exists shortly before its first line is written.
        var found: Int32?
        try await eventually {
            guard let content = FileManager.default.contents(atPath: file) else { return false }
            let lines = String(decoding: content, as: UTF8.self).split(separator: "\n")
            found = lines.count > 1 ? Int32(lines[0]) : nil
            return found != nil
        }
        let process = try #require(found)
        run.send(signal)
        try await run.wait()
        #expect(run.exitCode == 1, "\(run.printed)")
        #expect(run.printed.contains("stopped before its end"))
        #expect(!FileManager.default.fileExists(atPath: folder))
        // A zombie process has an empty command line.
        let commandLine = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
        #expect(commandLine.isEmpty, "its PostgreSQL is still running")
    }

    @Test("unknown row numbers and an empty list are refused")
    func unknownRow() async throws {
        for rows in ["1,99", ""] {
            let run = try ServerProcess(["bench", "--rows", rows])
            try await run.wait()
            #expect(run.exitCode == 64)
            #expect(run.printed.contains("--rows must list numbers from 1, 2"))
        }
        for shards in ["0", "1,x", "17", ""] {
            let run = try ServerProcess(["bench", "--shards", shards])
            try await run.wait()
            #expect(run.exitCode == 64)
            #expect(run.printed.contains("--shards must list numbers from 1 to 16"))
        }
    }
}
