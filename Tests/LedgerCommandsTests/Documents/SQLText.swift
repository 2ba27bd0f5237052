import Foundation

/// A source file of Swift, with the SQL in its string literals.
struct SQLText {
    let path: String
    private let literals: [String]
    /// The names of constants with a fragment of SQL that reads `clock_timestamp()`.
    private let clockFragments: [String]
    private let text: String

    init(path: String, text: String) {
        self.path = path
        self.text = text
        let blocks = text.matches(of: /"""\n([\s\S]*?)"""/).map { String($0.1) }
        let rest = text.replacing(/"""\n[\s\S]*?"""/, with: "")
        let lines = rest.matches(of: /"((?:[^"\\\n]|\\.)*)"/).map { String($0.1) }
        literals = blocks + lines
        clockFragments = text.matches(of: /let (\w+)[^=\n]*=\s*"(?:""\n([\s\S]*?)"""|([^"\n]*)")/).compactMap { match in
            let sql = String(match.2 ?? match.3 ?? "")
            return sql.contains("clock_timestamp()") && !Self.isModifying(sql) ? String(match.1) : nil
        }
    }

    /// The constructs of this file that do not fit a distributed database.
    var faults: [String] {
        literals.filter(Self.isModifying).compactMap(clockFault) + joinFaults + constraintFaults
    }

    /// Whether a text contains a statement that modifies a table.
    private static func isModifying(_ sql: String) -> Bool {
        sql.contains(/(?i)\b(insert into|delete from|merge into|update ledger\.\w+)\b/)
    }

    /// A modifying statement may return the clock. It may not compare or store it.
    ///
    /// Citus evaluates a volatile function in such a place at another time than PostgreSQL, or refuses it.
    private func clockFault(_ sql: String) -> String? {
        let rest = sql.replacing(/\b(returning|select) clock_timestamp\(\)/, with: "")
        let usesFragment = clockFragments.contains { sql.contains("\\(\($0))") || sql.contains(".\($0))") }
        guard rest.contains("clock_timestamp()") || usesFragment else { return nil }
        return "\(path): clock_timestamp() in a modifying statement; use statement_timestamp() or excluded: \(sql)"
    }

    /// The files with outer lateral joins that read the jobs of one request or step.
    private static let lateralFiles = [
        "Read/LiveSnapshot.swift", "Read/ExplainReader.swift", "LedgerProjection/StateQueries.swift",
    ]

    /// Citus cannot distribute an outer lateral join with a limit over all jobs.
    private var joinFaults: [String] {
        guard text.contains("left join lateral"), !Self.lateralFiles.contains(where: path.hasSuffix) else { return [] }
        return ["\(path): left join lateral; use a plain left join or a scalar subquery"]
    }

    /// The name of a constraint has the number of a shard at its end.
    private var constraintFaults: [String] {
        let isCompared = text.contains(/\.constraint\s*[=!]=\s*(?!nil)\S|contains\([^)\n]*\.constraint\)/)
        return isCompared ? ["\(path): compares the name of a constraint; use violates(_:)"] : []
    }
}
