/// The limit of waits and log lines during an outage of the ledger.
///
/// All callers share one wait, because an outage must not slow a process that runs one task after another.
struct Outage {
    /// The longest wait for reports to be recorded.
    static let waitMax: Duration = .seconds(5)
    /// The time after a wait until the next one, if the ledger has not responded since.
    static let renewal: Duration = .seconds(60)

    private var waitEnd: ContinuousClock.Instant?
    private var isLogged = false

    mutating func recordResponse() {
        waitEnd = nil
        isLogged = false
    }

    /// Returns the moment until which a caller that starts to wait now may wait.
    ///
    /// The moment may be in the past.
    mutating func waitLimit(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        if let waitEnd, now < waitEnd + Self.renewal { return waitEnd }
        let end = now + Self.waitMax
        waitEnd = end
        return end
    }

    /// Returns whether a failure is the first of its outage.
    mutating func isFirstFailure() -> Bool {
        defer { isLogged = true }
        return !isLogged
    }
}
