internal import Ledger
internal import LedgerChain
internal import PQ

/// Creates jobs.
struct JobCreator: Sendable {
    let pool: Pool

    private static let attemptsMax = 3

    /// The result of a request to create a job.
    enum Creation {
        case created(NewJob)
        case existed(JobID)
        /// A job with other content has the key.
        case keyTaken(JobID)
    }

    /// A job that was just created, with its head.
    ///
    /// The head lets the appender write to the job without reading it first.
    struct NewJob {
        let id: JobID
        let head: JobHead
        /// The database's clock, read before `readAt`.
        let clock: Timestamp
        let readAt: ContinuousClock.Instant
    }

    func create(_ description: JobDescription) async throws(PQError) -> Creation {
        var failure = PQError(.misuse, "not tried")
        for _ in 1...Self.attemptsMax {
            do throws(PQError) {
                return try await attempt(description)
            } catch {
                failure = error
                if error.server?.constraint == "job_key_unique" {
                    // Another request created the job first. The next attempt finds it.
                    continue
                }
                if error.isMissingPartition {
                    // The month has no partition: the clock jumped, or the partition was not created in time.
                    _ = try await pool.query(Query("select ledger.make_event_partition(clock_timestamp())"))
                    continue
                }
                throw error
            }
        }
        throw failure
    }

    private func attempt(_ description: JobDescription) async throws(PQError) -> Creation {
        do {
            return try await pool.withTransaction { transaction in
                let first = try await transaction.pipeline([
                    Query("select clock_timestamp()"),
                    Query(
                        """
                        select job_id, name, array(select key from jsonb_each_text(tags)),
                            array(select value from jsonb_each_text(tags))
                        from ledger.job
                        where key = $1
                        """, [.text(description.key?.text)]),
                ])
                let readAt = ContinuousClock.now
                if let row = first[1].first {
                    let job = try row.jobID(0)
                    // The job is visible, but that does not prove that it survives a failover. Taking the lock writes
                    // to the log after the job: if this transaction commits, the log up to here is durable.
                    _ = try await transaction.commit(after: [
                        Query("select from ledger.job_head where job_id = $1 for update", [.uuid(job.uuid)])
                    ])
                    return try Self.describes(row, description) ? .existed(job) : .keyTaken(job)
                }
                let now = try first[0][0].timestamp(0)
                let job = JobID(
                    createdAt: now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
                let event = EventDraft(.jobCreated(description)).recorded(sequence: 1, at: now)
                var chain = HashChain(job: job)
                let inserts = Self.inserts(job, description, at: now, hash: chain.append(event))
                _ = try await transaction.commit(after: inserts)
                let head = JobHead(sequence: 1, recordedAt: now, chain: chain)
                return .created(NewJob(id: job, head: head, clock: now, readAt: readAt))
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }

    private static func describes(_ row: Row, _ description: JobDescription) throws(PQError) -> Bool {
        var tags: [Name: Name] = [:]
        let contents = try row.decode(3, as: [String].self)
        for (name, content) in zip(try row.decode(2, as: [String].self), contents) { tags[Name(name)] = Name(content) }
        return try row.name(1) == description.name && tags == description.tags
    }

    /// The statements that insert a job, its first event, its head and its snapshot.
    ///
    /// The snapshot includes the first event.
    static func inserts(
        _ job: JobID, _ description: JobDescription, at now: Timestamp, hash: EventHash
    ) -> [Query] {
        let tags = description.sortedTags
        let names = Parameter.texts(tags.map { $0.name.text })
        let contents = Parameter.texts(tags.map { $0.value.text })
        let moment = Parameter.timestamptz(microsecondsSince1970: now.microseconds)
        let key = Parameter.text(description.key?.text)
        return [
            Query(
                """
                insert into ledger.job (job_id, created_at, name, key, tags)
                values ($1, $2, $3, $4, jsonb_object($5, $6))
                """, [.uuid(job.uuid), moment, .text(description.name.text), key, names, contents]),
            Query(
                """
                insert into ledger.event (job_id, sequence, recorded_at, type, hash, name, key, tags)
                values ($1, 1, $2, $3, $4, $5, $6, nullif(jsonb_object($7, $8), '{}'))
                """,
                [
                    .uuid(job.uuid), moment, .int2(EventType.jobCreated.rawValue), .bytea(hash.bytea),
                    .text(description.name.text), key, names, contents,
                ]),
            Query(
                "insert into ledger.job_head (job_id, sequence, recorded_at, hash) values ($1, 1, $2, $3)",
                [.uuid(job.uuid), moment, .bytea(hash.bytea)]),
            Query(
                """
                insert into ledger.snapshot (job_id, sequence, created_at, updated_at) values ($1, 1, $2, $2)
                """, [.uuid(job.uuid), moment]),
        ]
    }
}
