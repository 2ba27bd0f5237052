/// The recent units per second of a label.
///
/// Units and time both decay with a time constant of a quarter of the job's elapsed time. So the rate follows a job
/// that becomes slower or faster, and is steady in a job whose units arrive in bursts.
struct Throughput: Hashable, Sendable {
    private(set) var units = 0.0
    private(set) var seconds = 0.0

    init(units: Double = 0, seconds: Double = 0) {
        self.units = units
        self.seconds = seconds
    }

    /// Adds units that were done at the end of a time.
    mutating func add(_ done: Double, after elapsed: Double, jobSeconds: Double) {
        let factor = Self.decay(after: elapsed, jobSeconds: jobSeconds)
        units = units * factor + done
        seconds = seconds * factor + elapsed
    }

    /// The units per second, if nothing was done since for this time.
    ///
    /// Nil before any time has passed.
    func rate(after idle: Double, jobSeconds: Double) -> Double? {
        let factor = Self.decay(after: idle, jobSeconds: jobSeconds)
        let time = seconds * factor + idle
        return time > 0 ? units * factor / time : nil
    }

    /// The time constant of the decay, as a share of the job's elapsed time.
    private static let decayShare = 0.25

    /// The factor by which earlier sums decay in a time.
    static func decay(after elapsed: Double, jobSeconds: Double) -> Double {
        (-elapsed / max(.divisorMin, jobSeconds * decayShare)).exponential
    }
}
