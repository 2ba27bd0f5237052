/// The numbers that draws need for the rest of an execution that reports.
///
/// They are the same in all draws.
struct ReportedRest {
    /// The expected seconds: the units left at its pace.
    let seconds: Double
    /// The standard deviation of their logarithm.
    let deviation: Double
    /// Half of the variance that comes from the units left.
    ///
    /// Subtracted, it keeps the mean of the drawn seconds the expected one.
    let meanCorrection: Double
    /// The seconds since its last report if it is late with the next one.
    let lateGap: Double?
    /// The seconds that it has already spent on its next item.
    let secondsDone: Double
    /// The least seconds that it will take.
    let secondsMin: Double

    /// The expected variance of the logarithm of the time between two reports.
    ///
    /// Their standard deviation is 0.7.
    static let reportVariance = 0.49
    /// The usual times between two reports after which the next one is late.
    private static let lateFactor = 4.0
    /// The part of the time since the last report that the next item has taken.
    private static let itemDoneShare = 0.5
    /// The least rest, as a share of an item's time.
    private static let itemRestMin = 0.05

    init(_ work: RunningWork.Reporting) {
        let items = max(1, work.left / max(.divisorMin, work.unitsPerReport))
        let item = work.unitsPerReport * work.pace
        deviation =
            (Self.reportVariance * (1 / (work.advances + 1) + 1 / items) + work.doubt.squared
            + LogDuration.varianceMin).squareRoot()
        meanCorrection = Self.reportVariance / 2 / items
        seconds = work.left * work.pace
        lateGap = work.gap > Self.lateFactor * item && work.left > 0 ? work.gap : nil
        secondsDone = min(Self.itemDoneShare * work.gap, Self.itemDoneShare * item)
        secondsMin = work.left > 0 ? Self.itemRestMin * item : 0
    }
}
