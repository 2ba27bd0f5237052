public import Ledger

extension LedgerStatus {
    /// Writes the status as an object.
    ///
    /// - Parameter more: Writes fields of the server, which the ledger does not know.
    public func write(to writer: inout JSONWriter, more: (inout JSONWriter) -> Void = { _ in }) {
        writer.object { writer in
            if let version { writer.field("version", version) }
            if let build { writer.field("build", build) }
            writer.name("lag")
            writer.object { writer in
                writer.field("jobs", lag.jobs)
                writer.field("events", lag.events)
                writer.field("microseconds", Self.microseconds(lag.seconds))
                writer.field("missing_snapshots", lag.missingSnapshots)
                writer.name("most_behind")
                writer.array(lag.mostBehind) { writer, job in
                    writer.object { writer in
                        writer.field("job", job.job.description)
                        writer.field("events", job.events)
                        writer.field("microseconds", Self.microseconds(job.seconds))
                    }
                }
            }
            writer.name("workers")
            writer.array(workers) { $1.write(to: &$0) }
            writer.name("stuck_jobs")
            writer.array(stuckJobs) { $1.write(to: &$0) }
            writer.field("stuck_job_count", stuckJobCount)
            writer.name("blocked")
            writer.array(blocked) { writer, blocked in
                writer.object { writer in
                    blocked.session.writeFields(to: &writer)
                    writer.name("blocked_by")
                    writer.array(blocked.blockers) { writer, blocker in
                        writer.object { blocker.writeFields(to: &$0) }
                    }
                }
            }
            writer.field("replay", replay?.description)
            writer.field("unestimated_jobs", unestimatedJobs)
            writer.name("notifications")
            writer.object { writer in
                writer.field("subscriptions", notifications.subscriptions)
                writer.field("disabled", notifications.disabled)
                writer.field("pending", notifications.pending)
                writer.field("oldest_microseconds", Self.microseconds(notifications.oldestSeconds))
            }
            writer.name("vacuum")
            writer.object { writer in
                writer.name("held_back_by")
                writer.array(vacuumHolders) { $1.write(to: &$0) }
                writer.name("tables")
                writer.array(tables) { $1.write(to: &$0) }
            }
            writer.name("database")
            if let database { database.write(to: &writer) } else { writer.null() }
            writer.name("read_replica")
            if let readReplica { readReplica.write(to: &writer) } else { writer.null() }
            writer.name("shards")
            writer.array(shards) { $1.write(to: &$0) }
            writer.name("durability_faults")
            writer.array(durabilityFaults) { $0.string($1) }
            writer.name("durability_remarks")
            writer.array(durabilityRemarks) { $0.string($1) }
            writer.name("guarantee_faults")
            writer.array(guaranteeFaults) { $0.string($1) }
            writer.name("missing_partitions")
            writer.array(missingPartitions) { $0.string($1) }
            writer.name("append_failure")
            if let appendFailure { appendFailure.write(to: &writer) } else { writer.null() }
            more(&writer)
        }
    }

    /// An age in microseconds, limited to 64 bits; 0 if it is not a number.
    ///
    /// Ages are differences of times in the database, which nothing keeps from being infinite.
    static func microseconds(_ seconds: Double) -> Int64 {
        let microseconds = seconds * 1e6
        guard microseconds > -0x1p63 else { return microseconds.isNaN ? 0 : .min }
        return microseconds < 0x1p63 ? Int64(microseconds) : .max
    }

    /// Parses the output of ``write(to:more:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        guard let given = value["lag"] else { throw ResponseError(field: "lag") }
        var lag = Lag(jobs: 0, events: 0, seconds: 0)
        let reader = ResponseReader(given)
        lag.jobs = try reader.integer("jobs")
        lag.events = try reader.integer("events")
        lag.seconds = Double(try reader.integer("microseconds")) / 1e6
        if given["missing_snapshots"] != nil { lag.missingSnapshots = try reader.integer("missing_snapshots") }
        for element in given["most_behind"]?.elements ?? [] {
            let job = ResponseReader(element)
            lag.mostBehind.append(
                BehindJob(
                    job: try job.job("job"), events: try job.integer("events"),
                    seconds: Double(try job.integer("microseconds")) / 1e6))
        }
        var workers: [Worker] = []
        for element in value["workers"]?.elements ?? [] { workers.append(try Worker(element)) }
        var stuck: [StuckJob] = []
        for element in value["stuck_jobs"]?.elements ?? [] { stuck.append(try StuckJob(element)) }
        var blocked: [Blocked] = []
        for element in value["blocked"]?.elements ?? [] {
            var blockers: [Session] = []
            for blocker in element["blocked_by"]?.elements ?? [] { blockers.append(try Session(blocker)) }
            blocked.append(Blocked(session: try Session(element), blockers: blockers))
        }
        var replay: JobID?
        if let id = value["replay"], id != .null { replay = try ResponseReader(value).job("replay") }
        self.init(
            lag: lag, workers: workers, stuckJobs: stuck,
            stuckJobCount: try ResponseReader(value).integer("stuck_job_count"), blocked: blocked, replay: replay)
        if let given = value["database"], given != .null { database = try Database(given) }
        for element in value["shards"]?.elements ?? [] { shards.append(try Shard(element)) }
        if let given = value["read_replica"], given != .null { readReplica = try ReadReplica(given) }
        unestimatedJobs = try ResponseReader(value).integerIfPresent("unestimated_jobs") ?? 0
        if let given = value["notifications"], given != .null {
            let counts = ResponseReader(given)
            notifications = NotificationCounts(
                subscriptions: try counts.integer("subscriptions"), disabled: try counts.integer("disabled"),
                pending: try counts.integer("pending"),
                oldestSeconds: Double(try counts.integer("oldest_microseconds")) / 1e6)
        }
        version = value["version"]?.text
        build = value["build"]?.text
        for element in value["vacuum"]?["held_back_by"]?.elements ?? [] {
            vacuumHolders.append(try VacuumHolder(element))
        }
        for element in value["vacuum"]?["tables"]?.elements ?? [] { tables.append(try TableHealth(element)) }
        durabilityRemarks = (value["durability_remarks"]?.elements ?? []).compactMap(\.text)
        durabilityFaults = (value["durability_faults"]?.elements ?? []).compactMap(\.text)
        guaranteeFaults = (value["guarantee_faults"]?.elements ?? []).compactMap(\.text)
        missingPartitions = (value["missing_partitions"]?.elements ?? []).compactMap(\.text)
        appendFailure = try Failure(value["append_failure"])
    }
}

extension LedgerStatus.VacuumHolder {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("kind", kind.rawValue)
            writer.field("name", name)
            writer.field("process", process)
            writer.field("microseconds", seconds.map(LedgerStatus.microseconds))
            writer.field("transactions", transactions)
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let kind = Kind(rawValue: try reader.text("kind")) else { throw ResponseError(field: "kind") }
        var process: Int32?
        if let given = value["process"], given != .null {
            process = Int32(truncatingIfNeeded: try reader.integer("process"))
        }
        var seconds: Double?
        if let given = value["microseconds"], given != .null {
            seconds = Double(try reader.integer("microseconds")) / 1e6
        }
        self.init(
            kind: kind, name: try reader.text("name"), process: process, seconds: seconds,
            transactions: try reader.integer("transactions"))
    }
}

extension LedgerStatus.TableHealth {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("table", table)
            writer.field("live_rows", liveRows)
            writer.field("dead_rows", deadRows)
            writer.field("vacuumed_at", vacuumedAt.map(RFC3339.text))
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(
            table: try reader.text("table"), liveRows: try reader.integer("live_rows"),
            deadRows: try reader.integer("dead_rows"), vacuumedAt: try reader.timestampIfPresent("vacuumed_at"))
    }
}

extension LedgerStatus.Failure {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("at", RFC3339.text(at))
            writer.field("sqlstate", state)
            writer.field("message", message)
        }
    }

    fileprivate init?(_ value: JSONValue?) throws(ResponseError) {
        guard let value, value != .null else { return nil }
        let reader = ResponseReader(value)
        self.init(
            at: try reader.timestamp("at"), state: value["sqlstate"]?.text, message: try reader.text("message"))
    }
}

extension LedgerStatus.Worker {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("worker", worker)
            writer.field("host", host)
            writer.field("process", process)
            writer.field("lost", isLost)
            writer.field("started_at", RFC3339.text(startedAt))
            writer.field("seen_at", RFC3339.text(seenAt))
            writer.field("folded_at", foldedAt.map(RFC3339.text))
            writer.field("folded_events", foldedEvents)
            writer.field("steps", steps)
            writer.field("failures", failures)
            writer.field("pending_jobs", pendingJobs)
            writer.name("last_failure")
            if let lastFailure { lastFailure.write(to: &writer) } else { writer.null() }
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let isLost = value["lost"]?.bool else { throw ResponseError(field: "lost") }
        self.init(
            worker: try reader.text("worker"), host: try reader.text("host"),
            process: Int32(truncatingIfNeeded: try reader.integer("process")),
            startedAt: try reader.timestamp("started_at"), seenAt: try reader.timestamp("seen_at"), isLost: isLost,
            foldedAt: try reader.timestampIfPresent("folded_at"), foldedEvents: try reader.integer("folded_events"),
            steps: try reader.integer("steps"), failures: try reader.integer("failures"),
            pendingJobs: try reader.integer("pending_jobs"),
            lastFailure: try LedgerStatus.Failure(value["last_failure"]))
    }
}

extension LedgerStatus.StuckJob {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("job", job.description)
            writer.field("since", RFC3339.text(since))
            writer.field("failures", failures)
            writer.field("worker", worker)
            writer.name("last_failure")
            failure.write(to: &writer)
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let failure = try LedgerStatus.Failure(value["last_failure"]) else {
            throw ResponseError(field: "last_failure")
        }
        self.init(
            job: try reader.job("job"), since: try reader.timestamp("since"), failures: try reader.integer("failures"),
            worker: try reader.text("worker"), failure: failure)
    }
}

extension LedgerStatus.Session {
    fileprivate func writeFields(to writer: inout JSONWriter) {
        writer.field("process", process)
        writer.field("application", application)
        writer.field("state", state)
        writer.field("microseconds", LedgerStatus.microseconds(seconds))
        writer.field("statement", statement)
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(
            process: Int32(truncatingIfNeeded: try reader.integer("process")),
            application: try reader.text("application"), state: value["state"]?.text,
            seconds: Double(try reader.integer("microseconds")) / 1e6, statement: value["statement"]?.text)
    }
}

extension LedgerStatus.Database {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("version", version)
            writer.field("synchronous_commit", synchronousCommit)
            writer.field("synchronous_standby_names", synchronousStandbyNames)
            writer.field("synchronous_standbys", synchronousStandbys)
            writer.field("fsync", fsync)
            writer.field("full_page_writes", fullPageWrites)
            writer.field("survives_crash", survivesCrash)
            writer.field("survives_failover", survivesFailover)
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let fsync = value["fsync"]?.bool else { throw ResponseError(field: "fsync") }
        guard let fullPageWrites = value["full_page_writes"]?.bool else {
            throw ResponseError(field: "full_page_writes")
        }
        self.init(
            version: try reader.text("version"), synchronousCommit: try reader.text("synchronous_commit"),
            synchronousStandbyNames: try reader.text("synchronous_standby_names"),
            synchronousStandbys: try reader.integerIfPresent("synchronous_standbys"), fsync: fsync,
            fullPageWrites: fullPageWrites)
    }
}
