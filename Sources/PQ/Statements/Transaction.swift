/// An open transaction.
///
/// It exists only inside the closure of `withTransaction`. The compiler ensures that it is neither kept nor used by two
/// tasks at once.
public struct Transaction: ~Copyable {
    private let connection: Connection
    private let deadline: Duration
    private let begin: Query
    private let isReadOnly: Bool
    private var phase = Phase.notStarted

    /// The phase of the transaction.
    ///
    /// - notStarted: nothing was sent. Can become open or ended.
    /// - open: BEGIN was sent. Can become ended.
    /// - ended: COMMIT was sent. The handle accepts no more statements.
    private enum Phase {
        case notStarted
        case open
        case ended
    }

    private init(connection: Connection, isolation: IsolationLevel, isReadOnly: Bool, deadline: Duration) {
        self.connection = connection
        self.begin = Self.begin(isolation, readOnly: isReadOnly)
        self.isReadOnly = isReadOnly
        self.deadline = deadline
    }

    private static func begin(_ isolation: IsolationLevel, readOnly: Bool) -> Query {
        // The level is never "read write": a database that an administrator has made read-only stays so.
        Query("begin isolation level \(isolation.rawValue)\(readOnly ? " read only" : "")")
    }

    /// Runs the closure in a transaction.
    ///
    /// - Parameter convert: Makes the closure's type of error from that of the transaction.
    static func run<R, Failure: Error>(
        on connection: Connection, _ isolation: IsolationLevel, isReadOnly: Bool, deadline: Duration,
        _ body: (inout Transaction) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        var transaction = Transaction(
            connection: connection, isolation: isolation, isReadOnly: isReadOnly, deadline: deadline)
        let failure: Failure
        do throws(Failure) {
            let result = try await body(&transaction)
            do throws(PQError) {
                try await transaction.finish()
                return result
            } catch { failure = convert(error) }
        } catch { failure = error }
        await transaction.abandon()
        throw failure
    }

    /// Runs a whole transaction in one round trip.
    static func pipeline(
        _ queries: [Query], on connection: Connection, by deadline: ContinuousClock.Instant, commits: Connection.Commits
    ) async throws(PQError) -> [Rows] {
        do throws(PQError) {
            let rows = try await connection.run(
                [begin(.readCommitted, readOnly: false)] + queries + [.commit], by: deadline, commits: commits)
            return Array(rows.dropFirst().dropLast())
        } catch {
            await rollBack(connection, within: .seconds(5))
            throw error
        }
    }

    /// Rolls back after a failure.
    ///
    /// If the rollback fails, the connection is closed. The original error is never replaced.
    private static func rollBack(_ connection: Connection, within deadline: Duration) async {
        // A detached commit, or one that has ended the transaction already, leaves nothing to roll back.
        if await connection.isDetached { return }
        if await connection.isReusable { return }
        do throws(PQError) {
            _ = try await connection.run(
                [.rollback], by: .now + deadline, commits: .nothing, respectsCancellation: false)
        } catch {
            await connection.close()
        }
    }

    /// Runs one statement.
    public mutating func query(_ query: Query) async throws(PQError) -> Rows {
        let rows = try await pipeline([query])
        guard let first = rows.first else { throw PQError(.decoding, "the statement gave no result") }
        return first
    }

    /// Runs statements in one round trip; the first failure fails all of them.
    public mutating func pipeline(_ queries: [Query]) async throws(PQError) -> [Rows] {
        switch phase {
        case .ended: throw PQError(.misuse, "the transaction has been committed already")
        case .open: return try await connection.run(queries, by: .now + deadline, commits: .nothing)
        case .notStarted:
            phase = .open
            return Array(
                try await connection.run([begin] + queries, by: .now + deadline, commits: .nothing).dropFirst())
        }
    }

    /// Runs the last statements and commits, in one round trip.
    ///
    /// The transaction accepts no more statements afterwards.
    ///
    /// - Throws: ``PQError/Code/transactionRolledBack`` if the server rolls back instead. If the connection is lost
    ///   during the commit, the error's ``PQError/isOutcomeUnknown`` is true.
    public mutating func commit(after queries: [Query] = []) async throws(PQError) -> [Rows] {
        guard phase != .ended else { throw PQError(.misuse, "the transaction has been committed already") }
        let opening = phase == .notStarted ? [begin] : []
        phase = .open
        let rows = try await connection.run(
            opening + queries + [.commit], by: .now + deadline, commits: isReadOnly ? .cancellable : .writing)
        phase = .ended
        // After a failed statement, the server responds to COMMIT with ROLLBACK and without an error.
        guard let last = rows.last, last.commandTag == "COMMIT" else {
            throw PQError(
                .transactionRolledBack,
                "COMMIT returned \(rows.last?.commandTag ?? "nothing"): an earlier statement had failed")
        }
        return Array(rows.dropFirst(opening.count).dropLast())
    }

    /// Runs the last statements and prepares the transaction.
    ///
    /// This is the first phase of a two-phase commit. It takes one round trip.
    ///
    /// It stays prepared, with its locks, until `commit prepared` or `rollback prepared` on any connection of the same
    /// user, also after a crash of the server.
    ///
    /// - Parameter name: The name of the prepared transaction, without a quote, up to 199 bytes.
    /// - Throws: As ``commit(after:)``. If the outcome is unknown, the transaction may be prepared. SQLSTATE 55000 if
    ///   the server's `max_prepared_transactions` is 0.
    public mutating func prepare(as name: String, after queries: [Query] = []) async throws(PQError) -> [Rows] {
        guard phase != .ended else { throw PQError(.misuse, "the transaction has been committed already") }
        guard !name.contains("'"), !name.contains("\\"), name.utf8.count < 200 else {
            throw PQError(.misuse, "invalid name of a prepared transaction")
        }
        let opening = phase == .notStarted ? [begin] : []
        phase = .open
        let prepare = Query("prepare transaction '\(name)'", prepare: false)
        let rows = try await connection.run(
            opening + queries + [prepare], by: .now + deadline, commits: .writing)
        phase = .ended
        guard let last = rows.last, last.commandTag == "PREPARE TRANSACTION" else {
            throw PQError(
                .transactionRolledBack,
                "PREPARE TRANSACTION returned \(rows.last?.commandTag ?? "nothing"): an earlier statement had failed")
        }
        return Array(rows.dropFirst(opening.count).dropLast())
    }

    /// Streams rows into a table by `COPY … FROM STDIN (FORMAT binary)`.
    ///
    /// - Returns: The number of rows the server has stored.
    public mutating func copyIn(
        _ sql: String, _ body: (inout CopyWriter) async throws -> Void
    ) async throws -> Int {
        try await open()
        try await connection.beginCopy(.into, sql, by: .now + deadline)
        var writer = CopyWriter(connection: connection, deadline: deadline)
        do {
            try await body(&writer)
            try await writer.finish()
        } catch {
            await abortCopyIn()
            throw error
        }
        return try await connection.endCopyIn(failure: nil, by: .now + deadline)
    }

    /// Reads the output of `COPY … TO STDOUT` in chunks of about 64 KiB.
    ///
    /// A chunk contains whole messages. Memory use is limited, because no more is read from the server than the closure
    /// takes. A row of a table is one message; ``CopyRowReader`` reads rows in binary format.
    public mutating func copyOut(_ sql: String, _ body: ([UInt8]) async throws -> Void) async throws {
        try await open()
        try await connection.beginCopy(.out, sql, by: .now + deadline)
        do {
            while let chunk = try await connection.nextCopyChunk(by: .now + deadline) { try await body(chunk) }
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Makes the server discard the rows of a COPY.
    ///
    /// If this fails, the connection is closed. The original error is never replaced.
    private func abortCopyIn() async {
        do throws(PQError) {
            _ = try await connection.endCopyIn(failure: "the writer failed", by: .now + .seconds(5))
        } catch {
            await connection.close()
        }
    }

    private mutating func open() async throws(PQError) {
        if phase == .notStarted { _ = try await pipeline([]) }
    }

    private mutating func finish() async throws(PQError) {
        if phase == .open { _ = try await commit() }
    }

    private mutating func abandon() async {
        guard phase == .open else { return }
        phase = .ended
        await Self.rollBack(connection, within: min(deadline, .seconds(5)))
    }
}
