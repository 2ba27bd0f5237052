internal import Ledger
internal import PQ

/// How far snapshots are behind, measured once for all who ask within a short while: readiness is asked by every load
/// balancer, and measuring looks at all jobs.
actor LagMeter {
    private let reader: StatusReader
    private var measured: (lag: LedgerStatus.Lag, at: ContinuousClock.Instant)?
    private var measuring: Task<Result<LedgerStatus.Lag, PQError>, Never>?

    /// How old an answer may be.
    private static let ageMax: Duration = .seconds(2)

    init(reader: StatusReader) {
        self.reader = reader
    }

    func lag() async throws(PQError) -> LedgerStatus.Lag {
        if let measured, measured.at.duration(to: .now) < Self.ageMax { return measured.lag }
        let task = measuring ?? begin()
        let result = await task.value
        measuring = nil
        let lag = try result.get()
        measured = (lag, .now)
        return lag
    }

    private func begin() -> Task<Result<LedgerStatus.Lag, PQError>, Never> {
        let reader = reader
        let task = Task(name: "lag") { () -> Result<LedgerStatus.Lag, PQError> in
            do throws(PQError) { return .success(try await reader.lag()) } catch { return .failure(error) }
        }
        measuring = task
        return task
    }
}
