internal import Foundation
public import Logging
public import PQ
internal import Synchronization

/// A recorder of the plans with which PostgreSQL ran the statements of a ledger.
///
/// PostgreSQL's `auto_explain` sends the actual plan and the rows that each node read to the session as a notice, and
/// the session's logger passes it to the recorder. Every recorded plan was therefore executed, with exactly the
/// settings, parameters and prepared plans of the service.
public final class PlanRecorder: Sendable {
    private let plans = Mutex<[RecordedPlan]>([])

    public init() {}

    /// The logger for the ledger under test.
    public var logger: Logger {
        Logger(label: "plans") { _ in Handler(recorder: self) }
    }

    /// Enables `auto_explain` for all later sessions of this database.
    public static func listen(on target: ConnectionTarget) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let database = target["dbname"] ?? ""
        // PostgreSQL accepts these settings only after the module that defines them is loaded.
        try await pool.withConnection { lease in
            _ = try await lease.query(Query("load 'auto_explain'", prepare: false))
            for (name, value) in [
                ("session_preload_libraries", "auto_explain"), ("auto_explain.log_min_duration", "0"),
                ("auto_explain.log_analyze", "on"), ("auto_explain.log_buffers", "on"),
                ("auto_explain.log_timing", "off"), ("auto_explain.log_nested_statements", "on"),
                ("auto_explain.log_format", "json"), ("auto_explain.log_level", "notice"),
            ] {
                _ = try await lease.query(Query("alter database \(database) set \(name) = '\(value)'", prepare: false))
            }
        }
        await pool.close()
    }

    /// Returns the plans since the last call.
    public func take() -> [RecordedPlan] {
        plans.withLock { plans in
            defer { plans = [] }
            return plans
        }
    }

    fileprivate func record(_ text: String) {
        guard text.contains("plan:"), let brace = text.firstIndex(of: "{") else { return }
        // The logger joins lines with "; ". Plans themselves contain "; " only in statements, and removing it there
        // does no harm.
        let json = text[brace...].replacing("; ", with: " ")
        guard let tree = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any],
            let root = tree["Plan"] as? [String: Any]
        else { preconditionFailure("cannot read a plan of auto_explain: \(json)") }
        let plan = RecordedPlan(statement: tree["Query Text"] as? String ?? "", root: root)
        plans.withLock { $0.append(plan) }
    }

    private struct Handler: LogHandler {
        let recorder: PlanRecorder
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(recorder: PlanRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            recorder.record(event.message.description)
        }
    }
}

/// The plan of an executed statement.
public struct RecordedPlan: Sendable {
    /// A node of the plan that reads a table.
    public struct Scan: Sendable {
        /// The kind of the node, such as `Seq Scan` or `Index Scan`.
        public var kind: String
        /// The table; for a partition, the partitioned table.
        public var table: String
        /// The index, if the node uses one.
        public var index: String?
        /// The condition that limits the part of the index; nil if all of it is read.
        public var indexCondition: String?
        /// The rows that the node read in all repetitions, including filtered ones.
        public var rows: Double
    }

    /// The statement, on one line.
    public var statement: String
    public var scans: [Scan] = []
    /// The pages of tables and indexes that the statement read.
    public var pages = 0.0

    fileprivate init(statement: String, root: [String: Any]) {
        self.statement = statement.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        pages = Self.number(root, "Shared Hit Blocks") + Self.number(root, "Shared Read Blocks")
        add(root, table: nil)
    }

    private static func number(_ node: [String: Any], _ key: String) -> Double {
        (node[key] as? NSNumber)?.doubleValue ?? 0
    }

    private mutating func add(_ node: [String: Any], table inherited: String?) {
        let kind = node["Node Type"] as? String ?? ""
        var table = node["Relation Name"] as? String ?? inherited
        if table?.hasPrefix("event_") == true { table = "event" }
        if kind.hasSuffix("Scan"), let table {
            let perLoop =
                ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"]
                .reduce(0) { $0 + Self.number(node, $1) }
            scans.append(
                Scan(
                    kind: kind, table: table, index: node["Index Name"] as? String,
                    indexCondition: node["Index Cond"] as? String, rows: perLoop * Self.number(node, "Actual Loops")))
        }
        // A bitmap index scan does not name its table; the node above it does.
        for child in node["Plans"] as? [[String: Any]] ?? [] {
            add(child, table: kind == "Bitmap Heap Scan" || kind.hasPrefix("Bitmap") ? table : nil)
        }
    }
}
