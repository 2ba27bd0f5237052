import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the health of the ledger: lag, workers, stuck jobs and blocked transactions.",
        discussion: """
            Lag is measured against the events themselves. Exits with code 1 if something needs attention, such as a \
            job that cannot be folded, a lost worker, no worker while events wait, events that have waited for more \
            than 30 s, or settings of PostgreSQL with which a crash loses events.
            """)

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (status, document) = try await server.client().sendForJSON(.status, as: LedgerStatus.self)
        if json {
            Console.standard.print(document)
        } else {
            for line in StatusText.lines(status) { Console.standard.print(line) }
        }
        let problems = StatusText.problems(status)
        guard problems.isEmpty else { throw CommandFailure(.failed, problems.joined(separator: " ")) }
    }
}

/// The status of a ledger as lines of text.
enum StatusText {
    /// The most lost workers to list.
    private static let lostMax = 5
    /// The lag in seconds above which something is wrong.
    private static let lagMax = 30.0

    static func lines(_ status: LedgerStatus) -> [String] {
        var lines = [
            status.lag.jobs == 0
                ? "behind   nothing: all snapshots are up to date"
                : "behind   \(Count(status.lag.jobs, "job")), by \(Count(status.lag.events, "event")), the oldest of "
                    + "\(seconds(status.lag.seconds)) ago"
        ]
        if status.lag.missingSnapshots > 0 {
            lines.append(
                "missing  the projections of \(Count(status.lag.missingSnapshots, "job")): a worker rebuilds them")
        }
        if let database = status.database { lines.append("database \(promise(database))") }
        for shard in status.shards {
            let state = shard.fault.map { "away: \(VisibleText.escape($0))" } ?? "\(Count(shard.lag, "job")) behind"
            lines.append("shard    \(shard.number): \(shard.slots) slots of new jobs; \(state)")
        }
        if let replica = status.readReplica { lines.append("standby  \(standby(replica))") }
        lines += status.durabilityFaults.map { "durable  no: \($0)" }
        lines += status.durabilityRemarks.map { "durable  \($0)" }
        lines += status.guaranteeFaults.map { "guarded  no: \($0)" }
        lines += status.missingPartitions.map { "months   the partition of \($0) is not attached" }
        if let failure = status.appendFailure { lines.append("appends  failed: \(Self.failure(failure))") }
        if let replay = status.replay { lines.append("replay   \(replay) is running") }
        let notifications = status.notifications
        if notifications.subscriptions > 0 {
            let oldest =
                notifications.pending > 0 ? ", the oldest of \(seconds(notifications.oldestSeconds)) ago" : ""
            let disabled = notifications.disabled > 0 ? " (\(notifications.disabled) disabled)" : ""
            lines.append(
                "notify   \(Count(notifications.subscriptions, "subscription"))\(disabled), "
                    + "\(notifications.pending) notifications wait\(oldest)")
        }
        if status.unestimatedJobs > 0 {
            let isMore = status.unestimatedJobs >= LedgerStatus.unestimatedMax
            lines.append(
                "estimate \(isMore ? "at least " : "")\(Count(status.unestimatedJobs, "job")) are still to be read for estimates"
            )
        }
        lines += section("workers  ", workers(status.workers), empty: "none: projection is stopped")
        if !status.lag.mostBehind.isEmpty {
            var table = Table([("JOB", .whole), ("EVENTS", .right), ("SINCE", .right)])
            for job in status.lag.mostBehind {
                table.add([job.job.description, String(job.events), seconds(job.seconds)])
            }
            lines += section("behind   ", table.lines, empty: "")
        }
        if !status.stuckJobs.isEmpty { lines += section("stuck    ", stuck(status.stuckJobs), empty: "") }
        if !status.vacuumHolders.isEmpty { lines += section("vacuum   ", holders(status.vacuumHolders), empty: "") }
        if !status.tables.isEmpty { lines += section("tables   ", tables(status.tables), empty: "") }
        if !status.blocked.isEmpty { lines += section("blocked  ", blocked(status.blocked), empty: "") }
        if let version = status.version {
            lines.append(VisibleText.escape("server   \(version)\(status.build.map { " (build \($0))" } ?? "")"))
        }
        return lines
    }

    /// The standby that serves reads, as part of a line.
    private static func standby(_ replica: LedgerStatus.ReadReplica) -> String {
        let lag = replica.lagSeconds.map { "\(seconds($0)) behind (\(replica.lagBytes ?? 0) bytes)" } ?? "no response"
        let served = "\(replica.reads) reads served, \(replica.fallbacks) by the primary instead"
        return VisibleText.escape([lag, served, replica.fault].compactMap { $0 }.joined(separator: "; "))
    }

    /// The promises of the database, as part of a line.
    private static func promise(_ database: LedgerStatus.Database) -> String {
        let standbys = VisibleText.escape(database.synchronousStandbyNames)
        let connected = database.synchronousStandbys.map { "\($0) connected" } ?? "connected ones not visible"
        let failover =
            if database.survivesFailover {
                "commits wait for \(standbys) (\(connected)), so a failover loses nothing"
            } else if database.synchronousStandbyNames.isEmpty {
                "no synchronous standby, so a failover may lose the last events"
            } else if !database.survivesCrash {
                "so may a failover"
            } else {
                "synchronous_commit = \(database.synchronousCommit), so a failover may lose the last events"
            }
        let crash = database.survivesCrash ? "a crash loses nothing" : "a crash may lose events"
        return "PostgreSQL \(VisibleText.escape(database.version)): \(crash); \(failover)"
    }

    /// The problem of a database with settings that do not protect commits.
    static let crashLosesEvents = "A crash of the database may lose acknowledged events."

    /// The problems that need attention, as sentences.
    static func problems(_ status: LedgerStatus) -> [String] {
        var problems: [String] = []
        for shard in status.shards where shard.fault != nil { problems.append("Shard \(shard.number) is away.") }
        if !status.durabilityFaults.isEmpty { problems.append("Commits are not as durable as they should be.") }
        if !status.durabilityRemarks.isEmpty || status.database?.survivesCrash == false {
            problems.append(crashLosesEvents)
        }
        if !status.guaranteeFaults.isEmpty { problems.append("The database does not enforce the append-only ledger.") }
        if !status.missingPartitions.isEmpty { problems.append("A partition is not attached.") }
        if status.appendFailure != nil { problems.append("Appends fail.") }
        if let holder = status.vacuumHolders.first(where: { $0.transactions > holderTransactionsMax }) {
            problems.append("\(describe(holder)) holds vacuum back.")
        }
        if status.stuckJobCount > 0 {
            problems.append("The projection of \(Count(status.stuckJobCount, "job")) is stuck.")
        }
        let lost = status.workers.count { $0.isLost }
        if lost > 0 { problems.append("The ledger has lost \(Count(lost, "worker")).") }
        if status.lag.jobs > 0, lost == status.workers.count {
            problems.append("Projection is stopped: no worker is running.")
        }
        if status.lag.seconds > lagMax { problems.append("Events have waited for \(seconds(status.lag.seconds)).") }
        return problems
    }

    private static func section(_ title: String, _ lines: [String], empty: String) -> [String] {
        guard !lines.isEmpty else { return [title + empty] }
        return lines.enumerated().map {
            ($0.offset == 0 ? title : String(repeating: " ", count: title.count)) + $0.element
        }
    }

    private static func workers(_ workers: [LedgerStatus.Worker]) -> [String] {
        guard !workers.isEmpty else { return [] }
        var table = Table([
            ("WORKER", .left), ("HOST", .left), ("PROCESS", .right), ("ALIVE", .left), ("FOLDED", .right),
            ("FAILED", .right), ("LAST ERROR", .left),
        ])
        let lost = workers.filter(\.isLost)
        for worker in workers.filter({ !$0.isLost }) + lost.prefix(lostMax) {
            table.add([
                worker.worker, worker.host, String(worker.process),
                worker.isLost ? "lost since \(RFC3339.text(worker.seenAt))" : "yes", String(worker.foldedEvents),
                String(worker.failures), worker.lastFailure.map(failure) ?? "",
            ])
        }
        return table.lines + (lost.count > lostMax ? ["… and \(lost.count - lostMax) more lost workers"] : [])
    }

    /// The number of transactions beyond which held-back vacuum slows appends.
    private static let holderTransactionsMax: Int64 = 100_000

    private static func describe(_ holder: LedgerStatus.VacuumHolder) -> String {
        let kind =
            switch holder.kind {
            case .transaction: "Transaction of"
            case .preparedTransaction: "Prepared transaction"
            case .replicationSlot: "Replication slot"
            case .standby: "Standby"
            }
        return "\(kind) \(VisibleText.escape(holder.name))"
    }

    private static func holders(_ holders: [LedgerStatus.VacuumHolder]) -> [String] {
        var table = Table([("HELD BACK BY", .left), ("PROCESS", .right), ("FOR", .right), ("TRANSACTIONS", .right)])
        for holder in holders {
            table.add([
                describe(holder), holder.process.map { String($0) } ?? "", holder.seconds.map(seconds) ?? "",
                String(holder.transactions),
            ])
        }
        return table.lines
    }

    private static func tables(_ tables: [LedgerStatus.TableHealth]) -> [String] {
        var table = Table([("TABLE", .left), ("ROWS", .right), ("DEAD", .right), ("VACUUMED", .left)])
        for health in tables where health.liveRows + health.deadRows > 0 {
            table.add([
                health.table, String(health.liveRows), String(health.deadRows),
                health.vacuumedAt.map(RFC3339.text) ?? "never",
            ])
        }
        return table.lines
    }

    private static func stuck(_ jobs: [LedgerStatus.StuckJob]) -> [String] {
        var table = Table([
            ("JOB", .whole), ("SINCE", .left), ("ATTEMPTS", .right), ("WORKER", .left), ("ERROR", .left),
        ])
        for job in jobs {
            table.add([
                job.job.description, RFC3339.text(job.since), String(job.failures), job.worker, failure(job.failure),
            ])
        }
        return table.lines
    }

    private static func blocked(_ blocked: [LedgerStatus.Blocked]) -> [String] {
        var table = Table([("SESSION", .left), ("PROCESS", .right), ("FOR", .right), ("STATEMENT", .left)])
        for entry in blocked {
            table.add([
                "\(entry.session.application) waits", String(entry.session.process), seconds(entry.session.seconds),
                entry.session.statement ?? "",
            ])
            for blocker in entry.blockers {
                table.add([
                    "  for \(blocker.application.isEmpty ? "an unnamed session" : blocker.application)",
                    String(blocker.process), seconds(blocker.seconds),
                    "\(blocker.state ?? "unknown"): \(blocker.statement ?? "")",
                ])
            }
        }
        return table.lines
    }

    private static func failure(_ failure: LedgerStatus.Failure) -> String {
        let state = failure.state.map { " [\($0)]" } ?? ""
        return "\(RFC3339.text(failure.at))\(state) \(failure.message)"
    }

    private static func seconds(_ seconds: Double) -> String {
        let tenths = Int64((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
