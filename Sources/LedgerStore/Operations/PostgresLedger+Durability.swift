public import Ledger
internal import PQ

extension PostgresLedger {
    /// A job with acknowledged events that are no longer in the ledger.
    public struct LostJob: Hashable, Sendable {
        public var job: JobID
        /// The last sequence that this server acknowledged.
        public var acknowledged: EventSequence
        /// The last sequence in the ledger when the loss was found.
        public var found: EventSequence
    }

    /// The jobs that lost acknowledged events, the latest last, at most 20.
    ///
    /// Only events that this server acknowledged are considered.
    public var lostJobs: [LostJob] {
        get async {
            appender.acknowledged.losses.latest.map {
                LostJob(job: $0.job, acknowledged: $0.acknowledged, found: $0.found)
            }
        }
    }

    /// The obstacles to durable writes, and the settings that weaken durability.
    func durability() async throws(PQError) -> (faults: [String], remarks: [String]) {
        let row = try await pool.withTransaction(readOnly: true, deadline: .seconds(3)) { transaction throws(PQError) in
            // PostgreSQL shows the activity of sessions to the login role, not to the role that the session has
            // taken.
            let results = try await transaction.commit(after: [
                Query("set local role none", prepare: false), Self.durabilityQuery,
            ])
            guard let row = results[1].first else { throw PQError(.decoding, "no row of settings") }
            return row
        }
        if try row.decode(0, as: Bool.self) {
            return (
                ["the server is in recovery and takes no writes: it is a standby, or has not been promoted yet"], []
            )
        }
        if try row.decode(1, as: Bool.self) {
            return (["the database is read only: default_transaction_read_only is on"], [])
        }
        var faults: [String] = []
        var remarks: [String] = []
        if try !row.decode(2, as: Bool.self) {
            remarks.append("fsync is off: a crash of PostgreSQL's machine loses acknowledged events. Turn it on")
        }
        if try !row.decode(5, as: Bool.self) {
            remarks.append(
                "full_page_writes is off: a crash of PostgreSQL's machine may damage pages of the ledger. Turn it on")
        }
        let waiting = try row.decode(3, as: Int64.self)
        if waiting > 0 {
            faults.append(Self.waitingFault(waiting, longest: try row.decode(4)))
        }
        return (faults, remarks)
    }

    /// The fault of commits that wait for a standby, the longest for some seconds.
    static func waitingFault(_ count: Int64, longest seconds: Int64) -> String {
        let commits = count == 1 ? "1 commit waits" : "\(count) commits wait"
        return
            "\(commits) for a synchronous standby\(count == 1 ? ", " : ", one ")for \(seconds) s: bring the standby back, or "
            + "change synchronous_standby_names"
    }

    /// Reads the settings of new sessions and the commits that wait for a standby.
    ///
    /// Only waits of more than a second count.
    private static let durabilityQuery = Query(
        """
        select pg_is_in_recovery(),
            coalesce(
                (
                    select bool_or(option in ('default_transaction_read_only=on', 'default_transaction_read_only=true'))
                    from pg_db_role_setting as setting
                    cross join lateral unnest(setting.setconfig) as given (option)
                    where setting.setdatabase in (
                            0, (select oid from pg_database where datname = current_database())
                        )
                        and setting.setrole in (0, (select oid from pg_roles where rolname = session_user))
                ), false)
                or current_setting('default_transaction_read_only')::boolean,
            current_setting('fsync')::boolean, count(waiting.pid),
            coalesce(max(extract(epoch from clock_timestamp() - waiting.state_change))::bigint, 0),
            current_setting('full_page_writes')::boolean
        from (select 1) as one
        left join pg_stat_activity as waiting
            on waiting.datname = current_database() and waiting.wait_event = 'SyncRep'
                and waiting.state_change < clock_timestamp() - interval '1 second'
        """)

    /// Whether the database accepts writes, with a warning if a crash may lose them.
    func writingCheck() async -> Readiness.Check {
        do throws(PQError) {
            let (faults, remarks) = try await durability()
            let all = faults + remarks
            return Readiness.Check(
                name: "writing", isPassed: faults.isEmpty, isWarning: faults.isEmpty && !remarks.isEmpty,
                detail: all.isEmpty ? "the database accepts writes" : all.joined(separator: "; "))
        } catch {
            return Readiness.Check(name: "writing", isPassed: false, detail: error.description)
        }
    }
}
