internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// A standby that serves reads of the past.
///
/// It serves them only while it has everything that the primary has shown.
///
/// Each read begins with the position of the primary's log. The standby serves the read once it has replayed the log
/// to that position, on the same timeline, and has the job's last event with the same hash. So a caller that has seen
/// an event, a snapshot or a response finds it here too, whatever the lag. If the standby takes too long, or fails, the
/// primary serves the read.
///
/// This costs a round trip to each server.
final class ReadReplica: Sendable {
    /// The longest time that a read waits for the standby.
    ///
    /// The primary itself may write the log up to 0.6 s after an asynchronous commit, which folds use.
    static let waitMax: Duration = .milliseconds(800)
    /// The interval at which the standby is asked for its position.
    private static let pollInterval: Duration = .milliseconds(10)
    /// The time for which a standby that fails or lags is not asked.
    ///
    /// Without it every read would wait.
    static let avoidedFor: Duration = .seconds(2)
    /// The time limit of a question to the standby.
    private static let deadline: Duration = .seconds(3)

    /// The ledger that reads from the standby. It does not run, and writes nothing.
    let ledger: PostgresLedger
    private let primary: Pool
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var reads: UInt64 = 0
        var fallbacks: UInt64 = 0
        var avoidedUntil: ContinuousClock.Instant?
        /// The reason of the last fallback.
        var reason: String?
    }

    init(ledger: PostgresLedger, primary: Pool, logger: Logger) {
        self.ledger = ledger
        self.primary = primary
        self.logger = logger
    }

    /// A position of the log, and a job's head at it.
    private struct Position {
        let bytes: Int64
        let timeline: String
        let sequence: EventSequence
        let hash: [UInt8]
        let hasEnded: Bool
    }

    /// Returns the ledger on the standby if it can serve reads of the job.
    ///
    /// It must have everything that the primary shows about the job now.
    ///
    /// Nil if the primary must serve the read.
    ///
    /// - Parameter onlyIfEnded: Whether the standby serves only jobs that have ended.
    func ledger(for job: JobID, onlyIfEnded: Bool) async -> PostgresLedger? {
        if let until = state.withLock({ $0.avoidedUntil }), until > .now {
            state.withLock { $0.fallbacks += 1 }
            return nil
        }
        let position: Position
        do throws(PQError) {
            // If the primary is away, or has no such job, its own response says so.
            guard let found = try await self.position(of: job) else { return nil }
            position = found
        } catch { return nil }
        if onlyIfEnded, !position.hasEnded { return nil }
        do throws(PQError) {
            let end = ContinuousClock.now + Self.waitMax
            repeat {
                if try await hasReached(position, job) {
                    state.withLock {
                        $0.reads += 1
                        $0.reason = nil
                    }
                    return ledger
                }
                do { try await Task.sleep(for: Self.pollInterval) } catch { return nil }
            } while ContinuousClock.now < end
            avoid("it lags, or follows another primary")
        } catch {
            avoid(error.description)
        }
        return nil
    }

    /// Lets the primary serve the reads for a while.
    func avoid(_ reason: String) {
        let isNew = state.withLock { state in
            defer {
                state.fallbacks += 1
                state.avoidedUntil = .now + Self.avoidedFor
                state.reason = reason
            }
            return state.reason == nil
        }
        guard isNew else { return }
        logger.warning("the primary serves reads of the standby", metadata: ["error": "\(reason)"])
    }

    // A position just after the header of a page or of a segment is the end of the record before it.
    private static let position = Query(
        """
        select
            case
                when mod(log.position, current_setting('wal_block_size')::bigint) = 24 then log.position - 24
                when mod(log.position, pg_size_bytes(current_setting('wal_segment_size'))) = 40 then log.position - 40
                else log.position
            end,
            left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
        from (select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as position) as log
        """)

    private func position(of job: JobID) async throws(PQError) -> Position? {
        let results = try await primary.pipeline([
            Query(
                """
                select head.sequence, head.hash, coalesce(snapshot.state <> 'running', false)
                from ledger.job_head as head
                \(LiveSnapshot.join(of: "head.job_id"))
                where head.job_id = $1
                """, [.uuid(job.uuid)]),
            // Read after the head, so that the position includes it.
            Self.position,
        ])
        guard let row = results[0].first else { return nil }
        return Position(
            bytes: try results[1][0].decode(0), timeline: try results[1][0].decode(1), sequence: try row.decode(0),
            hash: try row.decode(1), hasEnded: try row.decode(2))
    }

    /// A server that is not a standby is as far as its own log.
    private static let reached = """
        (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end
            - '0/0'::pg_lsn)::bigint
        """

    private func hasReached(_ position: Position, _ job: JobID) async throws(PQError) -> Bool {
        try await ledger.pool.query(
            Query(
                """
                select
                    \(Self.reached) >= $1
                    and (select lpad(upper(to_hex(timeline_id)), 8, '0') from pg_control_checkpoint()) = $2
                    and exists (select from ledger.event where job_id = $3 and sequence = $4 and hash = $5)
                """,
                [
                    .int8(position.bytes), .text(position.timeline), .uuid(job.uuid), .sequence(position.sequence),
                    .bytea(position.hash),
                ]), deadline: Self.deadline)[0].decode(0)
    }

    // MARK: Status

    /// The numbers of reads that the standby and, instead of it, the primary served.
    var counters: (reads: UInt64, fallbacks: UInt64) { state.withLock { ($0.reads, $0.fallbacks) } }

    /// Measures the lag of the standby.
    func status() async -> LedgerStatus.ReadReplica {
        var status = LedgerStatus.ReadReplica()
        (status.reads, status.fallbacks) = counters
        do throws(PQError) {
            let end = try await primary.query(Self.position)[0].decode(0, as: Int64.self)
            let row = try await ledger.pool.query(
                Query(
                    """
                    select greatest($1 - \(Self.reached), 0), case
                        when \(Self.reached) >= $1 then 0
                        else coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8
                    end
                    """, [.int8(end)]), deadline: Self.deadline)[0]
            status.lagBytes = try row.decode(0)
            status.lagSeconds = max(0, try row.decode(1))
            status.fault = state.withLock { state in (state.avoidedUntil ?? .now) > .now ? state.reason : nil }
        } catch {
            status.fault = error.description
        }
        return status
    }
}
