extension Connection {
    /// Runs a text of several statements without parameters, outside of the pipeline mode, which does not allow them.
    func script(_ sql: String, by deadline: ContinuousClock.Instant) async throws(PQError) {
        try await perform(by: deadline) { () async throws(PQError) in
            try leavePipeline(and: sql)
            try await finishSimple(isFailureExpected: false)
        }
    }

    // A COPY is a sequence of operations, each by its own deadline; in between the connection belongs to the handle
    // that began it. One that is broken off on the reading side closes the connection.

    func beginCopy(_ direction: CopyDirection, _ sql: String, by deadline: ContinuousClock.Instant)
        async throws(PQError)
    {
        try await perform(by: deadline) { () async throws(PQError) in
            try leavePipeline(and: sql)
            try await expect(direction)
        }
    }

    func putCopy(_ chunk: [UInt8], by deadline: ContinuousClock.Instant) async throws(PQError) {
        try await perform(by: deadline) { () async throws(PQError) in
            try await put { session in unsafe chunk.withUnsafeBytes { unsafe session.putCopy($0) } }
            try await drain()
        }
    }

    /// Ends COPY IN; with a reason it fails and takes nothing.
    ///
    /// - Returns: How many rows the server has taken.
    func endCopyIn(failure: String?, by deadline: ContinuousClock.Instant) async throws(PQError) -> Int {
        try await perform(by: deadline, heedsCancellation: failure == nil) { () async throws(PQError) -> Int in
            try await put { $0.endCopy(failure: failure) }
            return try await finishSimple(isFailureExpected: failure != nil)
        }
    }

    /// How much COPY OUT hands over at once, but for the end of it. What the server sends meanwhile finds room in the
    /// socket's buffer (212,992 bytes on Linux), so that it need not wait for whoever reads.
    private static let copyChunkSize = 65_536

    /// The next messages of COPY OUT, as many as make a chunk; nil at its end.
    ///
    /// Until the next call nothing is read from the socket: libpq would keep all of it in memory.
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
                    await suspend(untilAnything: true)
                case .end, .failure:
                    setReading(true)
                    // What the server ended with is told by the next call, after what came before it.
                    if !chunk.isEmpty { return chunk }
                    try await finishSimple(isFailureExpected: false)
                    return nil
                }
            }
            throw loss ?? PQError(.connectionLost, "the connection was closed")
        }
    }

    /// Hands bytes to libpq, waiting while the socket takes no more: memory stays bounded.
    func put(_ step: (Session) -> Bool?) async throws(PQError) {
        while let session {
            if let loss { throw loss }
            switch step(session) {
            case true:
                flush()
                return
            case false:
                flush()
                await suspend(untilAnything: true)
            default:
                throw PQError(.connectionLost, "COPY was broken off: \(session.errorText)")
            }
        }
        throw loss ?? PQError(.connectionLost, "the connection was closed")
    }

    /// Waits until all that was handed over has been sent.
    func drain() async throws(PQError) {
        while let session {
            if let loss { throw loss }
            guard let isSent = session.flush() else { break }
            if isSent { return }
            flush()
            await suspend(untilAnything: true)
        }
        throw loss ?? PQError(.connectionLost, "the connection was closed")
    }

    private func leavePipeline(and sql: String) throws(PQError) {
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
            throw PQError(.misuse, "the statement is not the COPY that was announced; the connection was closed")
        }
    }

    /// Reads the results to their end and goes back into the pipeline mode.
    ///
    /// - Parameter isFailureExpected: Whether the server's complaint is no news.
    /// - Returns: How many rows the last statement has touched.
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
                throw PQError(.misuse, "COPY has functions of its own; the connection was closed")
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
