internal import PQ

extension PostgresLedger {
    /// A job that is behind for longer is a sign that no projection works.
    private static let lagMax: Duration = .seconds(30)
    /// How many of the newest jobs are looked at for it.
    private static let lagJobsMax: Int64 = 1_000

    public func readiness() async -> Readiness {
        var checks: [Readiness.Check] = []
        do throws(PQError) {
            _ = try await pool.query(Query("select 1"), deadline: .seconds(3))
            checks.append(Readiness.Check(name: "database", isPassed: true, detail: "reachable"))
        } catch {
            checks.append(Readiness.Check(name: "database", isPassed: false, detail: error.description))
            return Readiness(checks: checks)
        }
        checks.append(await schemaCheck())
        checks.append(await projectionCheck())
        return Readiness(checks: checks)
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

    /// Measured against the ledger itself, not against what a worker says of itself: the oldest event among the newest
    /// jobs that no snapshot holds yet.
    private func projectionCheck() async -> Readiness.Check {
        do throws(PQError) {
            let lag = try await measureLag()
            let error = workers.current.lastError.map { "; the last error: \($0)" } ?? ""
            guard lag.seconds <= Double(Self.lagMax.components.seconds) else {
                return Readiness.Check(
                    name: "projection", isPassed: false,
                    detail:
                        "\(lag.jobs) of the newest jobs are behind, one for \(Int(lag.seconds)) s: is a worker running?\(error)"
                )
            }
            return Readiness.Check(
                name: "projection", isPassed: true,
                detail: "\(lag.jobs) of the newest jobs are behind, by \(lag.events) events in all\(error)")
        } catch {
            return Readiness.Check(name: "projection", isPassed: false, detail: error.description)
        }
    }

    private func measureLag() async throws(PQError) -> (jobs: Int, events: Int64, seconds: Double) {
        let rows = try await pool.query(
            Query(
                """
                select
                    count(*), coalesce(sum(behind.events), 0)::bigint,
                    coalesce(extract(epoch from max(clock_timestamp() - event.recorded_at)), 0)::float8
                from (
                    select head.job_id, head.sequence - snapshot.sequence as events, snapshot.sequence + 1 as next
                    from (select * from ledger.job_head order by job_id desc limit $1) as head
                    join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
                    where head.sequence > snapshot.sequence
                ) as behind
                join ledger.event on event.job_id = behind.job_id and event.sequence = behind.next
                """, [.int8(Self.lagJobsMax)]), deadline: .seconds(5))
        return (try rows[0].decode(0), try rows[0].decode(1), try rows[0].decode(2))
    }

    public func statistics() async -> [Statistic] {
        let append = appender.currentFigures
        let connections = await pool.statistics
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
                "append_overtaken_total", "Transactions that took more round trips because another server was ahead.",
                append.overtaken),
            counter("append_refused_total", "Appends refused because too many waited.", append.refused),
            counter("append_failed_total", "Appends that the database did not take.", append.failed),
            gauge("append_pending_events", "Events that wait to be written.", Double(append.pendingEvents)),
            counter("projection_folded_events_total", "Events folded by this process.", worker.foldedEvents),
            counter("projection_steps_total", "Transactions that folded them.", worker.steps),
            counter("projection_failures_total", "Steps of the projection that failed.", worker.failures),
            gauge("projection_running", "Whether a projection worker runs in this process.", worker.isRunning ? 1 : 0),
            gauge("projection_pending_jobs", "Jobs that the worker is to look at.", Double(signals.pendingJobCount)),
            gauge("database_connections", "Connections for reading and projecting.", Double(connections.connections)),
            gauge("database_connections_lent", "Of these, in use.", Double(connections.lent)),
            gauge("database_connection_waiters", "Callers that wait for one.", Double(connections.waiters)),
            counter("database_connect_failures_total", "Attempts to connect that failed.", connections.connectFailures),
            counter("database_round_trips_total", "Round trips for reading and projecting.", connections.roundTrips),
        ]
        do throws(PQError) {
            let lag = try await measureLag()
            statistics += [
                gauge("projection_lag_jobs", "Of the newest jobs, those whose snapshot is behind.", Double(lag.jobs)),
                gauge("projection_lag_events", "Events that these snapshots lack.", Double(lag.events)),
                gauge("projection_lag_seconds", "Age of the oldest event that one of them lacks.", lag.seconds),
            ]
        } catch {
            statistics.append(gauge("database_reachable", "Whether the database answers.", 0))
            return statistics
        }
        statistics.append(gauge("database_reachable", "Whether the database answers.", 1))
        return statistics
    }
}
