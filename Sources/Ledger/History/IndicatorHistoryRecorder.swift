/// Records the history of an indicator while its job's events are folded.
///
/// All decreases are kept. When there are more than twice as many other points as requested, every second one of them
/// is dropped. Memory is therefore bounded by the number of requested points plus the decreases, and the remaining
/// points are spread evenly over the changes.
public struct IndicatorHistoryRecorder: Sendable {
    private let label: Name?
    private let pointsMax: Int
    private var shown: Units?
    private var decreases: [IndicatorHistory.Point] = []
    /// The other points, ascending: every `stride`th change that was not a decrease.
    private var others: [IndicatorHistory.Point] = []
    private var stride = 1
    private var changes = 0
    /// The latest change, which is always kept.
    private var latest: IndicatorHistory.Point?

    /// Creates a recorder for the indicator with this label.
    ///
    /// - Parameter points: The maximum number of points; at least 2.
    public init(_ label: Name?, points: Int) {
        precondition(points >= 2, "a history needs at least two points")
        self.label = label
        pointsMax = points
    }

    /// Records an event after the fold has applied it. Costs one lookup.
    public mutating func record(_ event: Event, _ decision: Fold.Decision, in fold: Fold) {
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
            appendOther(point)
        }
        latest = point
    }

    private mutating func appendOther(_ point: IndicatorHistory.Point) {
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
            lost: superseded.contributions.units(on: state.id) ?? .zero)
    }

    /// Returns the history up to the current state of the fold.
    ///
    /// - Returns: nil if no event has named the indicator.
    public func history(through fold: Fold) -> IndicatorHistory? {
        guard fold.indicatorState(of: label) != nil else { return nil }
        var others = others
        if let latest, latest.cause == nil, others.last != latest, latest != decreases.last { others.append(latest) }
        // The first point is never a decrease. The last point is kept in addition to the decreases, unless it is one.
        let ends = latest?.cause == nil && others.count > 1 ? 2 : 1
        let room = max(ends, pointsMax - decreases.count)
        let points = decreases + Self.thin(others, to: room)
        return IndicatorHistory(
            label: label, sequence: fold.progress.sequence, points: points.sorted { $0.sequence < $1.sequence })
    }

    /// Returns `count` evenly spread points of these.
    ///
    /// The first point is included, and the last one if `count` is at least two.
    private static func thin(_ points: [IndicatorHistory.Point], to count: Int) -> [IndicatorHistory.Point] {
        guard points.count > count else { return points }
        guard count > 1 else { return Array(points.prefix(count)) }
        return (0..<count).map { points[$0 * (points.count - 1) / (count - 1)] }
    }
}
