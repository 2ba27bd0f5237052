/// When a request is sent again: pure, so that it can be tested without a clock.
struct RetryPolicy: Hashable, Sendable {
    /// What came of a try.
    enum Failure: Hashable, Sendable {
        /// The server cannot have done anything: no connection, or a refusal that says so (429, most of 503).
        case nothingWasTaken(retryAfter: Duration?)
        /// Nobody knows whether the server did it.
        case outcomeUnknown(retryAfter: Duration?)
        /// The same request would fail again.
        case final

        var isOutcomeUnknown: Bool {
            if case .outcomeUnknown = self { true } else { false }
        }
    }

    /// The pause before the first repetition, doubled with each one; the real one is a random part of it.
    var pauseMin: Duration = .milliseconds(50)
    /// The longest pause, unless the server asks for more.
    var pauseMax: Duration = .seconds(2)
    /// How long after the first try a repetition may begin; zero is never.
    var patience: Duration

    /// The pause before the next try; nil where there is none.
    ///
    /// - Parameters:
    ///   - failure: What came of the last try.
    ///   - tries: How many there were, 1 or more.
    ///   - elapsed: The time since the first one began.
    ///   - isSafeToRepeat: Whether doing the request twice is the same as doing it once.
    ///   - chance: 0 ..< 1. Clients that failed together shall not come back together.
    func pause(
        after failure: Failure, tries: Int, elapsed: Duration, isSafeToRepeat: Bool, chance: Double
    ) -> Duration? {
        let asked: Duration
        switch failure {
        case .nothingWasTaken(let retryAfter): asked = retryAfter ?? .zero
        case .outcomeUnknown(let retryAfter) where isSafeToRepeat: asked = retryAfter ?? .zero
        case .outcomeUnknown, .final: return nil
        }
        // 2^20 times the first pause is beyond every sensible limit already.
        let ceiling = min(pauseMax, pauseMin * (1 << min(tries - 1, 20)))
        let pause = asked + ceiling * (0.5 + chance / 2)
        return elapsed + pause <= patience ? pause : nil
    }
}
