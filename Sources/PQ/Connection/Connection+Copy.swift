extension Connection {
    /// Runs a text of several statements without parameters.
    ///
    /// It leaves the pipeline mode for this, because the mode does not allow such a text.
    func script(_ sql: String, by deadline: ContinuousClock.Instant) async throws(PQError) {
        try await perform(by: deadline) { () async throws(PQError) in
            try leavePipelineAndSend(sql)
            try await finishSimple(isFailureExpected: false)
        }
    }

    // A COPY is a sequence of operations, each with its own deadline. Between them the connection belongs to the handle
    // that began the COPY. If the reader stops early, the connection is closed.

    func beginCopy(_ direction: CopyDirection, _ sql: String, by deadline: ContinuousClock.Instant)
        async throws(PQError)
    {
        try await perform(by: deadline) { () async throws(PQError) in
            try leavePipelineAndSend(sql)
            try await expect(direction)
        }
    }

    func putCopy(_ chunk: [UInt8], by deadline: ContinuousClock.Instant) async throws(PQError) {
        try await perform(by: deadline) { () async throws(PQError) in
            try await sendCopyData { session in unsafe chunk.withUnsafeBytes { unsafe session.putCopy($0) } }
            try await drain()
        }
    }

    /// Ends COPY IN. After a failure, the server stores none of its rows.
    ///
    /// - Returns: The number of rows the server has stored.
    func endCopyIn(failure: String?, by deadline: ContinuousClock.Instant) async throws(PQError) -> Int {
        try await perform(by: deadline, respectsCancellation: failure == nil) { () async throws(PQError) -> Int in
            try await sendCopyData { $0.endCopy(failure: failure) }
            return try await finishSimple(isFailureExpected: failure != nil)
        }
    }

    /// The size from which COPY OUT returns a chunk; only the last one is smaller.
    ///
    /// The bytes that the server sends until the next call fit into the socket's buffer (212,992 bytes on Linux), so
    /// the server does not wait for the reader.
    private static let copyChunkSize = 65_536

    /// Returns the next messages of COPY OUT, about one chunk; nil at its end.
    ///
    /// Until the next call nothing is read from the socket, because libpq would keep all of it in memory.
    func nextCopyChunk(by deadline: ContinuousClock.Instant) async throws(PQError) -> [UInt8]? {
        try await perform(by: deadline) { () async throws(PQError) -> [UInt8]? in
            var chunk: [UInt8] = []
            while let session {
                switch session.takeCopyMessage(into: &chunk) {
                case .taken:
                    guard chunk.count >= Self.copyChunkSize else { continue }
                    setReading(false)
                    return chunk
                case .wait:
                    if let loss { throw loss }
                    setReading(true)
                    await suspend(untilAnyEvent: true)
                case .end, .failure:
                    setReading(true)
                    // The next call reports how the server ended the COPY, after the messages before the end.
                    if !chunk.isEmpty { return chunk }
                    try await finishSimple(isFailureExpected: false)
                    return nil
                }
            }
            throw loss ?? PQError(.connectionLost, "the connection was closed")
        }
    }

    /// Passes bytes to libpq and waits while the socket takes no more.
    ///
    /// This limits the memory used.
    func sendCopyData(_ step: (Session) -> Bool?) async throws(PQError) {
        while let session {
            if let loss { throw loss }
            switch step(session) {
            case true:
                flush()
                return
            case false:
                guard flush() else { continue }
                guard wantsWriting else {
                    // Everything is sent, and libpq still takes no more: it has no memory.
                    throw PQError(.connectionLost, "COPY was interrupted: \(session.errorText)")
                }
                await suspend(untilAnyEvent: true)
            default:
                throw PQError(.connectionLost, "COPY was interrupted: \(session.errorText)")
            }
        }
        throw loss ?? PQError(.connectionLost, "the connection was closed")
    }

    /// Waits until all bytes passed to libpq have been sent.
    func drain() async throws(PQError) {
        while session != nil {
            if let loss { throw loss }
            guard flush() else { break }
            // The socket reports that it takes more bytes only if some are left.
            guard wantsWriting else { return }
            await suspend(untilAnyEvent: true)
        }
        throw loss ?? PQError(.connectionLost, "the connection was closed")
    }

    private func leavePipelineAndSend(_ sql: String) throws(PQError) {
        guard let session, session.exitPipeline(), session.sendSimple(sql) else {
            throw loss ?? PQError(.connectionLost, "libpq refuses the statement: \(session?.errorText ?? "closed")")
        }
        countRoundTrip()
        flush()
    }

    private func nextSimple() async throws(PQError) -> Session.Incoming {
        while let session {
            if let loss { throw loss }
            if !session.isBusy { return session.nextResult() }
            await suspend()
        }
        throw loss ?? PQError(.connectionLost, "the connection was closed")
    }

    enum CopyDirection {
        case into
        case out
    }

    private func expect(_ direction: CopyDirection) async throws(PQError) {
        switch (try await nextSimple(), direction) {
        case (.copyIn, .into), (.copyOut, .out): return
        case (.failure(let error), _):
            try await finishSimple(isFailureExpected: true)
            throw error
        default:
            close()
            throw PQError(.misuse, "the statement is not a COPY in the expected direction; the connection was closed")
        }
    }

    /// Reads all results and returns to the pipeline mode.
    ///
    /// - Parameter isFailureExpected: Whether the caller has the server's error already.
    /// - Returns: The number of rows affected by the last statement.
    @discardableResult
    private func finishSimple(isFailureExpected: Bool) async throws(PQError) -> Int {
        var affected = 0
        var refusal: PQError?
        results: while true {
            switch try await nextSimple() {
            case .end: break results
            case .rows(let rows): affected = rows.affectedRows
            case .failure(let error): refusal = refusal ?? error
            case .copyIn, .copyOut:
                close()
                throw PQError(.misuse, "a COPY statement needs copyIn or copyOut; the connection was closed")
            case .skipped, .synced: continue
            }
        }
        guard let session, session.enterPipeline() else {
            throw loss ?? PQError(.connectionLost, "libpq refuses the pipeline mode")
        }
        if let refusal, !isFailureExpected { throw refusal }
        return affected
    }
}
