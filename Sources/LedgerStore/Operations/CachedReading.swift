internal import PQ

/// A value that is read from the database at most once within a short period.
///
/// Every load balancer polls readiness, and one reading may have to examine all jobs.
actor CachedReading<Value: Sendable> {
    private let ageMax: Duration
    private let now: @Sendable () -> ContinuousClock.Instant
    private let read: @Sendable () async throws(PQError) -> Value
    private var cached: (value: Value, at: ContinuousClock.Instant)?
    private var reading: Task<Result<Value, PQError>, Never>?

    /// Creates a cache of one value.
    ///
    /// - Parameters:
    ///   - ageMax: The maximum age of a value.
    ///   - now: The clock by which a value ages.
    ///   - read: Reads the value.
    init(
        ageMax: Duration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        _ read: @escaping @Sendable () async throws(PQError) -> Value
    ) {
        self.ageMax = ageMax
        self.now = now
        self.read = read
    }

    /// Returns the cached value, or that of a reading.
    ///
    /// A reading in progress is shared.
    func value() async throws(PQError) -> Value {
        if let cached, cached.at.duration(to: now()) < ageMax { return cached.value }
        return try await (reading ?? startReading()).value.get()
    }

    private func startReading() -> Task<Result<Value, PQError>, Never> {
        let task = Task(name: "cached-reading") { () -> Result<Value, PQError> in
            // Before any caller goes on, so that a failure of this reading ends no later one.
            defer { reading = nil }
            do throws(PQError) {
                let value = try await read()
                cached = (value, now())
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        reading = task
        return task
    }
}
