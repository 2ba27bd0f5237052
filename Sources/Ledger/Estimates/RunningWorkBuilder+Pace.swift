extension RunningWorkBuilder {
    /// The number of reports that the pace of the label counts like.
    private static let labelWeight = 2.0
    /// The number of reports that the pace of history counts like.
    ///
    /// It counts less if the reports of the execution are more regular than expected.
    private static let historyWeight = 4.0
    /// The largest doubt about a pace.
    private static let doubtMax = 1.0

    /// The seconds per unit of an execution.
    ///
    /// Its own pace is shrunk to that of its label, or else to that of history. The doubt is the standard deviation of
    /// their logarithm if they are not those of history.
    func pace(
        _ execution: RunningExecution, _ part: RunningExecution.Part, _ label: Int
    ) -> (secondsPerUnit: Double, doubt: Double) {
        let seconds = secondsWithoutPause(execution, part)
        // A number that is too large for its type is smaller than the sum of the snapshot.
        let done = part.done < .max ? Double(part.done) : labels[label].done / max(1, reporters[label])
        guard execution.beginsBeforeFirstUnit else {
            // Its time before the first report is unknown.
            let isFirst = execution.parts.first { $0.done > 0 }?.indicator == part.indicator
            let later = done - (isFirst ? Double(execution.firstUnits) : 0)
            let own =
                later > 0
                ? seconds / later
                : max(LogDuration.secondsMin, execution.startedAt.seconds(since: startedAt)) / done
            return (own, 0)
        }
        let own = seconds / done
        let usual = usualPace(of: label, without: (Double(secondsOf: part.microseconds), done))
        guard usual.secondsPerUnit > 0 else { return (own, 0) }
        let advances = Double(execution.advances)
        let weight =
            usual.isHistory ? Self.historyWeight * Self.irregularity(seconds, execution) : Self.labelWeight
        let logarithms = (
            own: max(own, Self.paceMin).naturalLogarithm,
            usual: max(usual.secondsPerUnit, Self.paceMin).naturalLogarithm
        )
        let share = weight / (advances + weight)
        let difference = logarithms.usual - logarithms.own
        return (
            (logarithms.own + share * difference).exponential,
            usual.isHistory ? min(Self.doubtMax, share * difference.magnitude) : 0
        )
    }

    /// The shortest time of a unit, in seconds: units may be bytes, or smaller.
    private static let paceMin = 1e-30

    /// The usual seconds per unit of a label; 0 if unknown.
    ///
    /// - Parameter own: Those of one execution, which are left out.
    func usualPace(
        of label: Int, without own: (seconds: Double, units: Double)
    ) -> (secondsPerUnit: Double, isHistory: Bool) {
        var pool = (seconds: paces[label].seconds - own.seconds, units: paces[label].units - own.units)
        if let pattern = labels[label].pattern {
            pool.seconds +=
                Double(secondsOf: pattern.microseconds) + Double(secondsOf: pattern.unsuccessfulMicroseconds)
            pool.units += Double(pattern.units) + Double(pattern.unsuccessfulUnits)
        }
        if pool.units > 0, pool.seconds > 0 { return (pool.seconds / pool.units, false) }
        guard let earlier = labels[label].inHistory, !earlier.quantiles.isEmpty, earlier.units > 0 else {
            return (0, false)
        }
        let mean = earlier.quantiles.reduce(0) { $0 + $1.logarithm } / Double(earlier.quantiles.count)
        return ((mean + speed.logarithm).exponential / earlier.units, true)
    }

    /// The conditions of a pause: the number of reports, and its length.
    ///
    /// The length is a multiple of the mean time of the other reports. Of a hundred lognormal times with a deviation of
    /// 1.5, the longest is fourteen times as long as the mean; a pause must be longer.
    private static let pause = (advancesMin: 10.0, factor: 20.0)

    /// The seconds that an execution spent on a label.
    ///
    /// A pause counts like any other report.
    ///
    /// A machine that slept, or a job that was stopped for a while, says nothing about the pace afterwards. The pause
    /// is the longest time between two events, so an execution that sends heartbeats shows none here.
    private func secondsWithoutPause(_ execution: RunningExecution, _ part: RunningExecution.Part) -> Double {
        let seconds = Double(secondsOf: part.microseconds)
        let quiet = Double(secondsOf: execution.longestQuiet)
        guard seconds > quiet else { return seconds }
        let advances = Double(execution.advances) / Double(max(1, execution.parts.count { $0.done > 0 }))
        guard advances >= Self.pause.advancesMin else { return seconds }
        let mean = (seconds - quiet) / (advances - 1)
        return quiet > Self.pause.factor * mean ? seconds - quiet + mean : seconds
    }

    /// The number of reports that the expected variance counts like.
    private static let irregularityPrior = 2.0

    /// The irregularity of an execution's reports, at most 1.
    ///
    /// It is the variance of the logarithm of the times between them, relative to ``ReportedRest/reportVariance``. The
    /// longest time between two events shows the variance of all.
    private static func irregularity(_ seconds: Double, _ execution: RunningExecution) -> Double {
        let advances = Double(execution.advances)
        guard advances >= irregularityPrior, seconds > 0 else { return 1 }
        let longest = max(1, Double(secondsOf: execution.longestQuiet) / (seconds / advances)).naturalLogarithm
        return min(
            1,
            (irregularityPrior + advances * longest.squared / ReportedRest.reportVariance)
                / (irregularityPrior + advances))
    }
}
