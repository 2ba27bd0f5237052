/// The durations and the growth of one indicator, as observed so far.
///
/// One sample is one successful execution: the seconds that it spent on the label, and the units that it finished.
public struct LabelPattern: Hashable, Sendable {
    /// The indicator.
    let indicator: IndicatorID
    /// The label, by which other jobs know it.
    let key: NameKey
    /// The number of samples.
    var samples: Int64 = 0
    /// The seconds of all samples, in microseconds.
    var microseconds: Int64 = 0
    /// The units of all samples.
    var units: Int64 = 0
    /// The time of executions that did not succeed, in microseconds.
    ///
    /// They have failed, or were canceled or superseded. They are no samples, but show how long a unit takes.
    var unsuccessfulMicroseconds: Int64 = 0
    /// The units of such executions.
    var unsuccessfulUnits: Int64 = 0
    /// The mean of the samples' logarithms.
    var meanLogarithm = 0.0
    /// The sum of squared deviations from the mean (Welford, 1962).
    var squaredDeviations = 0.0
    /// The newest samples, oldest first.
    ///
    /// At most ``EstimateState/recentSamplesMax(labels:)``.
    var recent: [LogDuration] = []
    /// The time of the last counted `done`.
    var lastAdvance: Timestamp?
    /// The gaps between such times.
    var gaps = AdvanceGaps()
    /// The longest time without an event of any of the samples, in microseconds.
    var longestQuiet: Int64 = 0
    /// The recent units per second.
    var throughput = Throughput()
    /// Units done by last executions that failed, which are done provisionally.
    var provisionalDone: Int64 = 0
    /// The newest declarations, at different times, at most ``declarationsMax``.
    var declarations: [Declaration] = []

    /// Enough to recognise growth that continues; half of them give its rate.
    static let declarationsMax = 32

    /// Units to do that were declared at one time.
    struct Declaration: Hashable, Sendable {
        let at: Timestamp
        var units: Int64
    }

    init(indicator: IndicatorID, key: NameKey) {
        self.indicator = indicator
        self.key = key
    }

    /// Adds a sample.
    ///
    /// - Parameter quiet: The longest time for which the execution sent no event, in microseconds.
    mutating func addSample(microseconds duration: Int64, units done: Int64, quiet: Int64, recentMax: Int) {
        longestQuiet = max(longestQuiet, quiet)
        let sample = LogDuration(seconds: Double(secondsOf: duration))
        samples += 1
        microseconds = microseconds.adding(duration)
        units = units.adding(done)
        let deviation = sample.logarithm - meanLogarithm
        meanLogarithm += deviation / Double(samples)
        squaredDeviations += deviation * (sample.logarithm - meanLogarithm)
        if recent.count >= recentMax { recent.removeFirst(recent.count - recentMax + 1) }
        recent.append(sample)
    }

    /// Adds the work of an execution that did not succeed.
    mutating func addUnsuccessful(microseconds: Int64, units: Int64) {
        unsuccessfulMicroseconds = unsuccessfulMicroseconds.adding(microseconds)
        unsuccessfulUnits = unsuccessfulUnits.adding(units)
    }

    /// Adds the units of a report.
    ///
    /// - Parameters:
    ///   - start: The time of the job's first execution.
    ///   - reopened: The time at which the job was last reopened; nil for never.
    mutating func report(
        _ total: Int64, _ done: Int64, _ carried: Int64, at moment: Timestamp, since start: Timestamp,
        reopened: Timestamp?
    ) {
        if total > 0 { declare(total, at: moment) }
        if done > 0 {
            advance(done, at: moment, since: start, reopened: reopened)
        } else if carried > 0 {
            lastAdvance = moment
        }
    }

    /// Adds units done.
    private mutating func advance(_ done: Int64, at moment: Timestamp, since start: Timestamp, reopened: Timestamp?) {
        // No time passes for a job that has ended.
        let last = max(lastAdvance ?? start, reopened ?? start)
        throughput.add(
            Double(done), after: moment.seconds(since: last), jobSeconds: moment.seconds(since: start))
        // The time before the first advance may have been spent on other labels.
        if lastAdvance != nil { gaps.add(moment, after: last) }
        lastAdvance = moment
    }

    mutating func declare(_ total: Int64, at moment: Timestamp) {
        if let last = declarations.last, last.at == moment {
            declarations[declarations.count - 1].units = last.units.adding(total)
            return
        }
        if declarations.count == Self.declarationsMax { declarations.removeFirst() }
        declarations.append(Declaration(at: moment, units: total))
    }

    /// The mean seconds of a sample.
    var meanSeconds: Double { Double(secondsOf: microseconds) / Double(max(1, samples)) }

    /// The seconds per unit of executions that did not succeed; nil if they did none.
    var unsuccessfulSecondsPerUnit: Double? {
        guard unsuccessfulUnits > 0, unsuccessfulMicroseconds > 0 else { return nil }
        return Double(secondsOf: unsuccessfulMicroseconds) / Double(unsuccessfulUnits)
    }

    /// The mean units of a sample.
    var meanUnits: Double { Double(units) / Double(max(1, samples)) }
}

extension Int64 {
    /// The sum, or the highest or lowest number if it is beyond.
    func adding(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        guard overflow else { return sum }
        return other > 0 ? .max : .min
    }
}
