/// What a fold has changed since it was made, or since its changes were last taken. Everything in ascending order
/// of sequence, so that two who store changes of one job lock its rows in the same order.
public struct FoldChanges: Sendable {
    /// The job as a whole.
    public let progress: JobProgress
    /// New and changed tasks.
    public let tasks: [JobTask]
    /// New and changed executions.
    public let executions: [Execution]
    /// New and changed indicators.
    public let indicators: [IndicatorState]
    /// What to append to pages of report numbers; a page that is not there begins with it.
    public let pages: [(key: ReportPage.Key, appended: ReportPage)]
    /// The events discarded.
    public let discards: [Discard]

    /// How many parts there are, the job as a whole apart.
    public var count: Int { tasks.count + executions.count + indicators.count + pages.count + discards.count }

    /// The changes among these parts: each kind is counted on from the one before it, as in ``count``.
    public func part(_ range: Range<Int>) -> FoldChanges {
        var start = 0
        func slice<Part>(_ parts: [Part]) -> [Part] {
            let wanted = range.clamped(to: start..<start + parts.count)
            defer { start += parts.count }
            return wanted.isEmpty ? [] : Array(parts[wanted.lowerBound - start..<wanted.upperBound - start])
        }
        return FoldChanges(
            progress: progress, tasks: slice(tasks), executions: slice(executions), indicators: slice(indicators),
            pages: slice(pages), discards: slice(discards))
    }
}
