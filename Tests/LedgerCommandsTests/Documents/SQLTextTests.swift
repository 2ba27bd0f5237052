import Foundation
import Testing

@Suite("The SQL in the sources")
struct SQLTextTests {
    private static let modules = [
        "LedgerStore", "LedgerProjection", "LedgerNotifications", "LedgerHTTP", "LedgerCommands",
    ]

    @Test("no statement has a construct that a database with distributed tables refuses")
    func fitsDistributedTables() throws {
        var files = 0
        for module in Self.modules {
            let folder = "\(projectFolder)/Sources/\(module)"
            for path in try FileManager.default.subpathsOfDirectory(atPath: folder) where path.hasSuffix(".swift") {
                let text = try String(contentsOfFile: "\(folder)/\(path)", encoding: .utf8)
                files += 1
                for fault in SQLText(path: "\(module)/\(path)", text: text).faults { Issue.record("\(fault)") }
            }
        }
        #expect(files > 100)
    }

    @Test(
        "each construct that a database with distributed tables refuses is found",
        arguments: [
            "\"update ledger.worker set seen_at = clock_timestamp()\"",
            "\"delete from ledger.worker where seen_at < clock_timestamp()\"",
            "\"\"\"\ninsert into ledger.worker (worker) values ($1)\non conflict (worker) do update set seen_at = clock_timestamp()\n\"\"\"",
            "static let isOld = \"seen_at < clock_timestamp()\"\n\"delete from ledger.worker where \\(isOld)\"",
            "\"\"\"\nselect 1 from ledger.job_head\nleft join lateral (select 1 limit 1) as one on true\n\"\"\"",
            "if error.server?.constraint == \"job_key_unique\" {}",
            "[\"job_key_unique\"].contains(error.server?.constraint)",
        ])
    func findsFaults(text: String) {
        #expect(SQLText(path: "Example.swift", text: text).faults.count == 1)
    }

    @Test(
        "the clock may be read and returned",
        arguments: [
            "\"select clock_timestamp()\"", "\"select 1 where now() < clock_timestamp()\"",
            "\"insert into ledger.event (job_id) values ($1) returning clock_timestamp()\"",
            "\"update ledger.worker set seen_at = statement_timestamp()\"",
        ])
    func acceptsReads(text: String) {
        #expect(SQLText(path: "Example.swift", text: text).faults.isEmpty)
    }
}
