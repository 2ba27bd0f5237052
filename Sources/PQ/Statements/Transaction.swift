/// A transaction that is open. It exists inside the closure of `withTransaction` only: it can be neither kept nor used
/// by two tasks at once, which the compiler sees to.
public struct Transaction: ~Copyable {
    private let connection: Connection
    private let deadline: Duration
    private let begin: Query
    private let isReadOnly: Bool
    private var phase = Phase.notBegun

    /// - notBegun: nothing was sent. Can become open or ended.
    /// - open: BEGIN was sent. Can become ended.
    /// - ended: COMMIT was sent; the handle takes no more.
    private enum Phase {
        case notBegun
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
        // Never "read write": a database that an administrator has made read only stays so.
        Query("begin isolation level \(isolation.rawValue)\(readOnly ? " read only" : "")")
    }

    static func run<R>(
        on connection: Connection, _ isolation: IsolationLevel, isReadOnly: Bool, deadline: Duration,
        _ body: (inout Transaction) async throws -> R
    ) async throws -> R {
        var transaction = Transaction(
            connection: connection, isolation: isolation, isReadOnly: isReadOnly, deadline: deadline)
        do {
            let result = try await body(&transaction)
            try await transaction.finish()
            return result
        } catch {
            await transaction.abandon()
            throw error
        }
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

    /// Rolls back after a failure. A rollback that fails closes the connection, and never hides what failed first.
    private static func rollBack(_ connection: Connection, within deadline: Duration) async {
        // A commit that went on alone, or that has ended the transaction already, leaves nothing to roll back.
        if await connection.isDetached { return }
        if await connection.isReusable { return }
        do throws(PQError) {
            _ = try await connection.run([.rollback], by: .now + deadline, commits: .nothing, heedsCancellation: false)
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

    /// Runs statements in one round trip; the first that fails fails them all.
    public mutating func pipeline(_ queries: [Query]) async throws(PQError) -> [Rows] {
        switch phase {
        case .ended: throw PQError(.misuse, "the transaction has been committed already")
        case .open: return try await connection.run(queries, by: .now + deadline, commits: .nothing)
        case .notBegun:
            phase = .open
            return Array(
                try await connection.run([begin] + queries, by: .now + deadline, commits: .nothing).dropFirst())
        }
    }

    /// Runs the last statements and commits, in one round trip. The transaction takes no more afterwards.
    ///
    /// - Throws: ``PQError/Code/transactionRolledBack`` where the server rolls back instead. Where the connection is
    ///   lost meanwhile the error's ``PQError/isOutcomeUnknown`` is true.
    public mutating func commit(after queries: [Query] = []) async throws(PQError) -> [Rows] {
        guard phase != .ended else { throw PQError(.misuse, "the transaction has been committed already") }
        let opening = phase == .notBegun ? [begin] : []
        phase = .open
        let rows = try await connection.run(
            opening + queries + [.commit], by: .now + deadline, commits: isReadOnly ? .cancellable : .writing)
        phase = .ended
        // A transaction in which a statement had failed answers ROLLBACK, without an error.
        guard let last = rows.last, last.commandTag == "COMMIT" else {
            throw PQError(
                .transactionRolledBack,
                "COMMIT answered \(rows.last?.commandTag ?? "nothing"): an earlier statement had failed")
        }
        return Array(rows.dropFirst(opening.count).dropLast())
    }

    /// Streams rows into a table by `COPY … FROM STDIN (FORMAT binary)`.
    ///
    /// - Returns: How many rows the server has taken.
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
            await breakOffCopy()
            throw error
        }
        return try await connection.endCopyIn(failure: nil, by: .now + deadline)
    }

    /// Reads what `COPY … TO STDOUT` sends, some 64 KiB of whole messages at a time, in bounded memory: no more is read
    /// from the server than the closure takes. A row of a table is one message; ``CopyRowReader`` reads those in binary.
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

    /// Tells the server to take nothing of a COPY. What fails here closes the connection and hides nothing.
    private func breakOffCopy() async {
        do throws(PQError) {
            _ = try await connection.endCopyIn(failure: "the writer failed", by: .now + .seconds(5))
        } catch {
            await connection.close()
        }
    }

    private mutating func open() async throws(PQError) {
        if phase == .notBegun { _ = try await pipeline([]) }
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
