public import Ledger
internal import PQ

extension PostgresLedger {
    /// The lag from which the projection counts as stopped.
    private static let lagMax: Duration = .seconds(30)

    public func readiness() async -> Readiness {
        var checks: [Readiness.Check] = []
        do throws(PQError) {
            _ = try await pool.query(Query("select 1"), deadline: .seconds(3))
            checks.append(Readiness.Check(name: "database", isPassed: true, detail: "reachable"))
        } catch {
            checks.append(Readiness.Check(name: "database", isPassed: false, detail: error.description))
            return Readiness(checks: checks)
        }
        let schema = await schemaCheck()
        checks.append(schema)
        // The other checks need the schema.
        guard schema.isPassed else { return Readiness(checks: checks) }
        checks += [
            await writingCheck(), await projectionCheck(), await guaranteeCheck(), await partitionCheck(),
            appendCheck(),
        ]
        return Readiness(checks: checks)
    }

    /// Whether the database itself keeps the ledger append-only.
    private func guaranteeCheck() async -> Readiness.Check {
        do throws(PQError) {
            let faults = try await guaranteeReading.value()
            let remedy = "; run `progress-ledger migrate`"
            return Readiness.Check(
                name: "guarantees", isPassed: faults.isEmpty,
                detail: faults.isEmpty
                    ? "the database keeps the ledger append-only" : faults.joined(separator: "; ") + remedy)
        } catch {
            return Readiness.Check(name: "guarantees", isPassed: false, detail: error.description)
        }
    }

    /// Whether jobs can be created this month and the next.
    ///
    /// A missing partition of the next month is a warning, because the server still does its work.
    private func partitionCheck() async -> Readiness.Check {
        do throws(PQError) {
            let missing = try await partitionReading.value()
            let months = missing.map(\.month).joined(separator: " and of ")
            let hasBegun = missing.contains { $0.hasBegun }
            return Readiness.Check(
                name: "partitions", isPassed: !hasBegun, isWarning: !hasBegun && !missing.isEmpty,
                detail: missing.isEmpty
                    ? "the partitions of this month and the next are attached"
                    : "the partition of \(months) is not attached to ledger.event: no job can be created or appended to in "
                        + "it; attach it again, or run `select ledger.make_event_partitions()`")
        } catch {
            return Readiness.Check(name: "partitions", isPassed: false, detail: error.description)
        }
    }

    /// Whether the last append of this server failed for lack of resources.
    private func appendCheck() -> Readiness.Check {
        guard let failure = appender.lastFailure, failure.isResourceExhausted else {
            return Readiness.Check(name: "appends", isPassed: true, detail: "no append fails for lack of resources")
        }
        return Readiness.Check(name: "appends", isPassed: false, detail: "appends fail: \(failure.message)")
    }

    private func schemaCheck() async -> Readiness.Check {
        do {
            let status = try await checkSchema()
            if case .current = status {
                return Readiness.Check(name: "schema", isPassed: true, detail: status.explanation)
            }
            return Readiness.Check(name: "schema", isPassed: false, detail: status.explanation)
        } catch {
            return Readiness.Check(name: "schema", isPassed: false, detail: "\(error)")
        }
    }

    /// Measures the lag from the ledger itself, not from a worker's own report.
    ///
    /// The lag is the age of the oldest event that is in no snapshot yet.
    private func projectionCheck() async -> Readiness.Check {
        do throws(PQError) {
            let lag = try await lagReading.value()
            let state = workers.current
            let error = state.isFailing ? state.lastFailure.map { "; the last error here: \($0)" } ?? "" : ""
            guard lag.seconds <= Double(Self.lagMax.components.seconds) else {
                return Readiness.Check(
                    name: "projection", isPassed: false,
                    detail:
                        "\(lag.jobs) jobs are behind, one for \(Int(exactly: lag.seconds.rounded(.down)) ?? .max) s: check that a worker is running; 'progress-ledger "
                        + "status' lists the jobs that are stuck\(error)")
            }
            return Readiness.Check(
                name: "projection", isPassed: true,
                detail: "\(lag.jobs) jobs are behind, by \(lag.events) events in all\(error)")
        } catch {
            return Readiness.Check(name: "projection", isPassed: false, detail: error.description)
        }
    }

    public func status() async throws(StoreError) -> LedgerStatus {
        try await attempting("reading the status of the ledger") { () throws(PQError) in
            var status = try await StatusReader(pool: pool).status()
            status.appendFailure = appender.lastFailure
            status.readReplica = await replica?.status()
            (status.durabilityFaults, status.durabilityRemarks) = try await durability()
            status.durabilityFaults += appender.acknowledged.losses.latest.map { loss in
                """
                this server acknowledged job \(loss.job) up to event \(loss.acknowledged), but the ledger ended at \
                event \(loss.found): the database was restored, or failed over to a standby that lagged
                """
            }
            return status
        }
    }

    public func statistics() async -> [Statistic] {
        let append = appender.currentCounters
        let connections = await pool.statistics
        let appending = await appendPool.statistics
        let worker = workers.current
        func counter(_ name: String, _ help: String, _ value: UInt64) -> Statistic {
            Statistic(name: "progress_ledger_\(name)", help: help, kind: .counter, value: Double(value))
        }
        func gauge(_ name: String, _ help: String, _ value: Double) -> Statistic {
            Statistic(name: "progress_ledger_\(name)", help: help, kind: .gauge, value: value)
        }
        var statistics = [
            counter("appended_events_total", "Events durably appended by this server.", append.events),
            counter("append_groups_total", "Transactions that appended them.", append.groups),
            counter(
                "append_overtaken_total",
                "Transactions that took more round trips because another writer had moved a job's head.",
                append.overtaken),
            counter(
                "append_late_total",
                "Transactions that took more round trips because they waited for more than a second.",
                append.late),
            counter(
                "append_round_trips_total", "Round trips for appending and for creating jobs.", appending.roundTrips),
            counter("append_refused_total", "Appends refused because too many waited.", append.refused),
            counter(
                "acknowledged_lost_jobs_total",
                "Jobs of which this server acknowledged events that are no longer in the ledger.",
                appender.acknowledged.losses.count),
            counter("append_failed_total", "Appends that the database did not take.", append.failed),
            gauge("append_pending_events", "Events that wait to be written.", Double(append.pendingEvents)),
            counter("projection_folded_events_total", "Events folded by this process.", worker.foldedEvents),
            counter("projection_steps_total", "Transactions that folded them.", worker.steps),
            counter("projection_failures_total", "Steps of the projection that failed.", worker.failures),
            gauge("projection_running", "Whether a projection worker runs in this process.", worker.isRunning ? 1 : 0),
            gauge(
                "past_states_bytes", "Memory of the past states of jobs from which this server continues.",
                Double(pointInTimeFold.cache.bytes)),
            gauge(
                "projection_pending_jobs", "Jobs that the worker is to look at.",
                Double(projectionQueue.pendingJobCount)),
            counter(
                "notification_delivered_total", "Notifications that this process delivered.",
                deliveryStatistics.delivered),
            counter(
                "notification_failed_attempts_total", "Attempts of this process to deliver one that failed.",
                deliveryStatistics.failed),
            counter(
                "notification_given_up_total", "Notifications that this process gave up.", deliveryStatistics.givenUp),
            gauge("database_connections", "Connections for reading and projecting.", Double(connections.connections)),
            gauge("database_connections_lent", "Of these, in use.", Double(connections.lent)),
            gauge("database_connection_waiters", "Callers that wait for one.", Double(connections.waiters)),
            counter("database_connect_failures_total", "Attempts to connect that failed.", connections.connectFailures),
            counter("database_round_trips_total", "Round trips for reading and projecting.", connections.roundTrips),
        ]
        statistics += Self.statistics(of: await replica?.status())
        do throws(PQError) {
            let status = try await StatusReader(pool: pool).status()
            statistics += Self.statistics(status)
            statistics += Self.statistics(try await jobCountReading.value())
        } catch {
            statistics.append(gauge("database_reachable", "Whether the database responds.", 0))
            return statistics
        }
        statistics.append(gauge("database_reachable", "Whether the database responds.", 1))
        return statistics
    }

    /// The numbers of jobs by name. The sum of all other names has no label.
    private static func statistics(_ counts: JobCountsByName) -> [Statistic] {
        let others: [(name: Name?, counts: JobCounts)] = [(nil, counts.others)]
        let series = counts.names.map { (name: Optional($0.name), counts: $0.counts) } + others
        func gauges(_ name: String, _ help: String, _ value: (JobCounts) -> Int64) -> [Statistic] {
            series.map { job, counts in
                Statistic(
                    name: "progress_ledger_\(name)", help: help, kind: .gauge, value: Double(value(counts)),
                    labels: job.map { [("job_name", $0.text)] } ?? [])
            }
        }
        return gauges("jobs_running", "Jobs that are running, by name.", \.running)
            + gauges("jobs_stalled", "Running jobs that do not advance, by name.", \.stalled)
            + gauges("jobs_late", "Running jobs whose deadline has passed, by name.", \.late)
            + gauges("jobs_failed", "Jobs that failed within the last hour, by name.", \.failed)
    }

    private static func statistics(_ status: LedgerStatus) -> [Statistic] {
        func gauge(
            _ name: String, _ help: String, _ value: Double, _ labels: [(name: String, value: String)] = []
        ) -> Statistic {
            Statistic(name: "progress_ledger_\(name)", help: help, kind: .gauge, value: value, labels: labels)
        }
        func labels(_ worker: LedgerStatus.Worker) -> [(name: String, value: String)] {
            [("worker", worker.worker), ("host", worker.host), ("process", String(worker.process))]
        }
        let lag = status.lag
        var statistics = [
            gauge("projection_lag_jobs", "Jobs whose snapshot is behind.", Double(lag.jobs)),
            gauge("projection_lag_events", "Events that these snapshots lack.", Double(lag.events)),
            gauge("projection_lag_seconds", "Age of the oldest event that one of them lacks.", lag.seconds),
            gauge("projection_missing_snapshots", "Jobs that have no snapshot.", Double(lag.missingSnapshots)),
            gauge(
                "guarantee_faults", "Ways in which the database does not keep the ledger append-only.",
                Double(status.guaranteeFaults.count)),
            gauge(
                "missing_partitions", "Months, of this one and the next, whose partition is not attached.",
                Double(status.missingPartitions.count)),
            gauge(
                "vacuum_holder_transactions", "Age of the oldest transaction that holds vacuum back, in transactions.",
                Double(status.vacuumHolders.map(\.transactions).max() ?? 0)),
            gauge(
                "vacuum_holder_seconds", "How long the longest transaction that holds vacuum back has lasted.",
                status.vacuumHolders.compactMap(\.seconds).max() ?? 0),
            gauge(
                "prepared_transaction_seconds", "Age of the oldest prepared transaction of the server.",
                status.vacuumHolders.filter { $0.kind == .preparedTransaction }.compactMap(\.seconds).max() ?? 0),
            gauge("projection_workers", "Workers that are alive.", Double(status.workers.count { !$0.isLost })),
            gauge(
                "projection_stuck_jobs", "Jobs whose last attempt to fold failed.",
                Double(status.stuckJobCount)),
            gauge("blocked_transactions", "Transactions that wait for a lock.", Double(status.blocked.count)),
            gauge(
                "blocked_transaction_seconds", "Longest wait of such a transaction.",
                status.blocked.map(\.session.seconds).max() ?? 0),
            gauge("replay_running", "Whether a replay is in progress.", status.replay == nil ? 0 : 1),
            gauge(
                "notification_subscriptions", "Subscriptions to notifications.",
                Double(status.notifications.subscriptions)),
            gauge(
                "notification_disabled_subscriptions", "Of these, the ones that get no more deliveries.",
                Double(status.notifications.disabled)),
            gauge(
                "notification_pending_deliveries", "Notifications that wait for an attempt.",
                Double(status.notifications.pending)),
            gauge(
                "notification_pending_seconds", "Age of the oldest of them.", status.notifications.oldestSeconds),
        ]
        statistics += status.tables.map { table in
            gauge(
                "table_dead_rows", "Row versions that vacuum has not removed yet.", Double(table.deadRows),
                [("table", table.table)])
        }
        statistics += status.workers.map { worker in
            gauge("worker_up", "Whether a worker has sent a heartbeat recently.", worker.isLost ? 0 : 1, labels(worker))
        }
        statistics += status.workers.map { worker in
            gauge(
                "worker_folded_events", "Events that a worker has folded since it started.",
                Double(worker.foldedEvents), labels(worker))
        }
        statistics += status.workers.map { worker in
            gauge(
                "worker_last_error_timestamp_seconds",
                "Time of a worker's last failure, with its SQLSTATE; 0 if it never failed.",
                worker.lastFailure.map { Double($0.at.microseconds) / 1e6 } ?? 0,
                labels(worker) + [("sqlstate", worker.lastFailure?.state ?? "")])
        }
        return statistics
    }
}

extension LedgerStatus.Failure: CustomStringConvertible {
    public var description: String { message }
}

extension LedgerStatus.Failure {
    /// Whether the database lacked space, memory or connections (SQLSTATE class 53).
    var isResourceExhausted: Bool { state?.hasPrefix("53") ?? false }
}
