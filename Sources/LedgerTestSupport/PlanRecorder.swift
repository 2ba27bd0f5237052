internal import Foundation
public import Logging
public import PQ
internal import Synchronization

/// Records how PostgreSQL has really run the statements of a ledger: the plans that its own sessions chose, with what each
/// part of them has read.
///
/// PostgreSQL's `auto_explain` tells each session what it has done, as a notice, and the session's logger brings it here. So
/// nothing is explained that was not run, and no setting, parameter or prepared plan differs from the service's own.
public final class PlanRecorder: Sendable {
    private let plans = Mutex<[RecordedPlan]>([])

    public init() {}

    /// The logger to give to the ledger that is looked at.
    public var logger: Logger {
        Logger(label: "plans") { _ in Handler(recorder: self) }
    }

    /// Has the sessions that begin on this database from now on tell their plans.
    public static func listen(on target: ConnectionTarget) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let database = target["dbname"] ?? ""
        // Custom settings are known only once the module is there that defines them.
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

    /// What was run since this was called last.
    public func take() -> [RecordedPlan] {
        plans.withLock { plans in
            defer { plans = [] }
            return plans
        }
    }

    fileprivate func hear(_ text: String) {
        guard text.contains("plan:"), let brace = text.firstIndex(of: "{") else { return }
        // The logger joins lines by "; ", which no plan needs: those inside of statements do no harm.
        let json = text[brace...].replacing("; ", with: " ")
        guard let tree = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any],
            let root = tree["Plan"] as? [String: Any]
        else { preconditionFailure("auto_explain tells a plan that cannot be read: \(json)") }
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
            recorder.hear(event.message.description)
        }
    }
}

/// How a statement was run.
public struct RecordedPlan: Sendable {
    /// A part of it that reads a table.
    public struct Scan: Sendable {
        /// Such as `Seq Scan` or `Index Scan`.
        public var kind: String
        /// The table; of a partition, the partitioned one.
        public var table: String
        /// The index, if it uses one.
        public var index: String?
        /// What limits the part of the index that is read; nil where all of it is.
        public var indexCondition: String?
        /// The rows looked at, all repetitions together, whether they were taken or not.
        public var rows: Double
    }

    /// The statement, on one line.
    public var statement: String
    public var scans: [Scan] = []
    /// The pages it has looked at, of tables and indexes.
    public var pages = 0.0

    fileprivate init(statement: String, root: [String: Any]) {
        self.statement = statement.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        pages = Self.number(root, "Shared Hit Blocks") + Self.number(root, "Shared Read Blocks")
        add(root, table: nil)
    }

    private static func number(_ node: [String: Any], _ key: String) -> Double {
        (node[key] as? NSNumber)?.doubleValue ?? 0
    }

    private mutating func add(_ node: [String: Any], table known: String?) {
        let kind = node["Node Type"] as? String ?? ""
        var table = node["Relation Name"] as? String ?? known
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
        // The scan of an index for a bitmap does not name the table: the one above it does.
        for child in node["Plans"] as? [[String: Any]] ?? [] {
            add(child, table: kind == "Bitmap Heap Scan" || kind.hasPrefix("Bitmap") ? table : nil)
        }
    }
}
