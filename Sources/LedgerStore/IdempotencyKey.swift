internal import Crypto
internal import Ledger
internal import LedgerChain
internal import PQ

/// The key by which the creation of a job is safe to repeat for a day.
struct IdempotencyKey: Sendable {
    let reporter: Name?
    let key: Name

    /// The condition for a row that still counts.
    private static let isCurrent = "created_at > now() - interval '24 hours'"

    /// The statement that finds the job of the key.
    ///
    /// It returns the job's id, and the digest of its content.
    var search: Query {
        Query(
            "select job_id, digest from ledger.idempotency_key where reporter = $1 and key = $2 and \(Self.isCurrent)",
            parameters)
    }

    /// The statements that record the key of a new job.
    ///
    /// The second one violates `idempotency_key_pkey` if another request with the key has just created a job.
    func inserts(_ job: JobID, _ digest: [UInt8]) -> [Query] {
        [
            Query(
                "delete from ledger.idempotency_key where reporter = $1 and key = $2 and not \(Self.isCurrent)",
                parameters),
            Query(
                "insert into ledger.idempotency_key (reporter, key, digest, job_id) values ($1, $2, $3, $4)",
                parameters + [.bytea(digest), .uuid(job.uuid)]),
        ]
    }

    /// The statement that deletes the keys that no longer count.
    static let removeExpired = Query("delete from ledger.idempotency_key where not \(isCurrent)")

    private var parameters: [Parameter] { [.text(reporter?.text ?? ""), .text(key.text)] }

    /// The SHA-256 of a job's content.
    static func digest(of description: JobDescription) -> [UInt8] {
        let event = Event(sequence: 1, recordedAt: Timestamp(microseconds: 0), body: .jobCreated(description))
        return Array(SHA256.hash(data: event.canonicalEncoding))
    }
}
