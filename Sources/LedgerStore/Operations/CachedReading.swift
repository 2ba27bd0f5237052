internal import PQ

/// A value that is read from the database for all who ask within a short while: readiness is asked by every load
/// balancer, and reading may look at all jobs.
actor CachedReading<Value: Sendable> {
    private let ageMax: Duration
    private let read: @Sendable () async throws(PQError) -> Value
    private var known: (value: Value, at: ContinuousClock.Instant)?
    private var reading: Task<Result<Value, PQError>, Never>?

    /// - Parameters:
    ///   - ageMax: How old a value may be.
    ///   - read: Reads it.
    init(ageMax: Duration, _ read: @escaping @Sendable () async throws(PQError) -> Value) {
        self.ageMax = ageMax
        self.read = read
    }

    func value() async throws(PQError) -> Value {
        if let known, known.at.duration(to: .now) < ageMax { return known.value }
        let task = reading ?? begin()
        let result = await task.value
        reading = nil
        let value = try result.get()
        known = (value, .now)
        return value
    }

    private func begin() -> Task<Result<Value, PQError>, Never> {
        let read = read
        let task = Task(name: "cached-reading") { () -> Result<Value, PQError> in
            do throws(PQError) { return .success(try await read()) } catch { return .failure(error) }
        }
        reading = task
        return task
    }
}
