/// Draws the curve of an indicator while its job's events are folded.
///
/// Decreases are all kept. Of the other points every second one is dropped whenever there are twice as many as are
/// wanted, so memory is bounded by the points wanted and the decreases, and what is left is spread evenly over the
/// changes: no gap hides more than its share of them.
public struct IndicatorHistoryRecorder: Sendable {
    private let label: Name?
    private let pointsMax: Int
    private var shown: Units?
    private var decreases: [IndicatorHistory.Point] = []
    /// The other points, ascending; of the changes that were not decreases, every `stride`th.
    private var others: [IndicatorHistory.Point] = []
    private var stride = 1
    private var changes = 0
    /// The latest change, which is kept whatever its number.
    private var latest: IndicatorHistory.Point?

    /// A recorder of the indicator with this label, for at most `points` points, 2 or more.
    public init(_ label: Name?, points: Int) {
        precondition(points >= 2, "a curve has a beginning and an end")
        self.label = label
        pointsMax = points
    }

    /// Notes an event that the fold has just decided on. Costs a lookup.
    public mutating func note(_ event: Event, _ decision: Fold.Decision, in fold: Fold) {
        guard decision.indicator != nil || decision.superseded != nil, let state = fold.indicatorState(of: label)
        else { return }
        let counted = state.countedEvents > 0 ? state.counted : shown == nil ? nil : Units.zero
        guard let counted, counted != shown else { return }
        let before = shown ?? .zero
        shown = counted
        var point = IndicatorHistory.Point(sequence: event.sequence, at: event.recordedAt, counted: counted)
        if counted.total < before.total || counted.done < before.done {
            point.cause = Self.cause(event, decision, state, fold)
            decreases.append(point)
        } else {
            note(point)
        }
        latest = point
    }

    private mutating func note(_ point: IndicatorHistory.Point) {
        defer { changes += 1 }
        guard changes.isMultiple(of: stride) else { return }
        others.append(point)
        guard others.count > 2 * pointsMax else { return }
        others = others.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
        stride *= 2
    }

    private static func cause(
        _ event: Event, _ decision: Fold.Decision, _ state: IndicatorState, _ fold: Fold
    ) -> IndicatorHistory.Cause? {
        guard let reference = event.body.reference,
            let superseded = decision.superseded.flatMap({ fold.execution($0) }),
            let execution = decision.execution.flatMap({ fold.execution($0) })
        else { return nil }
        return IndicatorHistory.Cause(
            task: reference.task, execution: execution.identity, superseded: superseded.identity,
            lost: superseded.contributions.units(on: state.sequence) ?? .zero)
    }

    /// The curve up to what the fold holds now; nil where no event has named the indicator.
    public func curve(through fold: Fold) -> IndicatorHistory? {
        guard fold.indicatorState(of: label) != nil else { return nil }
        var others = others
        if let latest, latest.cause == nil, others.last != latest, latest != decreases.last { others.append(latest) }
        // The first point is never a decrease. The last one is kept beside the decreases, unless it is one.
        let ends = latest?.cause == nil && others.count > 1 ? 2 : 1
        let room = max(ends, pointsMax - decreases.count)
        let points = decreases + Self.thin(others, to: room)
        return IndicatorHistory(
            label: label, sequence: fold.progress.sequence, points: points.sorted { $0.sequence < $1.sequence })
    }

    /// Evenly spread ones of these points, the first among them, and the last if there is room for two.
    private static func thin(_ points: [IndicatorHistory.Point], to count: Int) -> [IndicatorHistory.Point] {
        guard points.count > count else { return points }
        guard count > 1 else { return Array(points.prefix(count)) }
        return (0..<count).map { points[$0 * (points.count - 1) / (count - 1)] }
    }
}
