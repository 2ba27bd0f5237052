/// The numbers that draws need for the rest of an execution that reports.
///
/// They are the same in all draws.
struct ReportedRest {
    /// The expected seconds: the units left at its pace.
    let seconds: Double
    /// The standard deviation of their logarithm.
    let deviation: Double
    /// Half of their variance, without that of the pace.
    ///
    /// With it, the mean stays the expected one.
    let shift: Double
    /// The seconds since its last report if it is late with the next one.
    let lateGap: Double?
    /// The seconds that it has already spent on its next item.
    let secondsDone: Double
    /// The least seconds that it will take.
    let secondsMin: Double

    init(_ work: RunningWork.Reporting) {
        let items = max(1, work.left / max(1e-9, work.unitsPerReport))
        let item = work.unitsPerReport * work.pace
        deviation = (0.49 * (1 / (work.reports + 1) + 1 / items) + work.doubt.squared + 0.0025).squareRoot()
        shift = 0.245 / items
        seconds = work.left * work.pace
        lateGap = work.gap > 4 * item && work.left > 0 ? work.gap : nil
        secondsDone = min(0.5 * work.gap, 0.5 * item)
        secondsMin = work.left > 0 ? 0.05 * item : 0
    }
}
