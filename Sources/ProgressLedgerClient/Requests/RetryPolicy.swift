/// The decision whether and when a request is sent again.
///
/// It is pure, so that tests need no clock.
struct RetryPolicy: Hashable, Sendable {
    /// The failure of a try.
    enum Failure: Hashable, Sendable {
        /// The server cannot have carried out the request.
        ///
        /// There was no connection, or the server refused the request (429, most cases of 503).
        case nothingWasTaken(retryAfter: Duration?)
        /// The server may or may not have carried out the request.
        case outcomeUnknown(retryAfter: Duration?)
        /// The same request would fail again.
        case final

        var isOutcomeUnknown: Bool {
            if case .outcomeUnknown = self { true } else { false }
        }
    }

    /// The pause before the first repetition.
    ///
    /// It doubles with each repetition. The actual pause is a random part of it, at least half.
    var pauseMin: Duration = .milliseconds(50)
    /// The longest pause, unless the server requests a longer one.
    var pauseMax: Duration = .seconds(2)
    /// The time after the first try in which a repetition may begin; zero is never.
    var patience: Duration

    /// Returns the pause before the next try, or nil if there must be none.
    ///
    /// - Parameters:
    ///   - failure: The failure of the last try.
    ///   - tries: The number of tries so far, 1 or more.
    ///   - elapsed: The time since the first try began.
    ///   - isSafeToRepeat: Whether carrying out the request twice has the same effect as once.
    ///   - chance: A random number in 0 ..< 1, which keeps clients that failed together from retrying together.
    func pause(
        after failure: Failure, tries: Int, elapsed: Duration, isSafeToRepeat: Bool, chance: Double
    ) -> Duration? {
        let requested: Duration
        switch failure {
        case .nothingWasTaken(let retryAfter): requested = retryAfter ?? .zero
        case .outcomeUnknown(let retryAfter) where isSafeToRepeat: requested = retryAfter ?? .zero
        case .outcomeUnknown, .final: return nil
        }
        // 2^20 times the first pause exceeds every sensible limit.
        let ceiling = min(pauseMax, pauseMin * (1 << min(tries - 1, 20)))
        let pause = requested + ceiling * (0.5 + chance / 2)
        return elapsed + pause <= patience ? pause : nil
    }
}
