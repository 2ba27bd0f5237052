/// The changes of a fold since it was created or since its changes were last taken.
///
/// All parts are in ascending order of sequence, so two writers that store changes of one job lock its rows in the same
/// order.
public struct FoldChanges: Sendable {
    /// The state of the job as a whole.
    public let progress: JobProgress
    /// New and changed tasks.
    public let tasks: [JobTask]
    /// New and changed executions.
    public let executions: [Execution]
    /// New and changed indicators.
    public let indicators: [IndicatorState]
    /// The additions to pages of report numbers; a page that does not exist is created.
    public let pages: [(key: ReportPage.Key, appended: ReportPage)]
    /// The discarded events.
    public let discards: [Discard]

    /// The number of parts, without the job as a whole.
    public var count: Int { tasks.count + executions.count + indicators.count + pages.count + discards.count }

    /// Returns the changes within a range of parts.
    ///
    /// The parts of all kinds are numbered consecutively, in the order of ``count``.
    public func part(_ range: Range<Int>) -> FoldChanges {
        var start = 0
        func slice<Part>(_ parts: [Part]) -> [Part] {
            let overlap = range.clamped(to: start..<start + parts.count)
            defer { start += parts.count }
            return overlap.isEmpty ? [] : Array(parts[overlap.lowerBound - start..<overlap.upperBound - start])
        }
        return FoldChanges(
            progress: progress, tasks: slice(tasks), executions: slice(executions), indicators: slice(indicators),
            pages: slice(pages), discards: slice(discards))
    }
}
