import Ledger
import LedgerTestSupport
import Testing

@Suite("Differences, histories and explanations of a fold", .ownThread)
struct HistoryTests {
    static let seeds: [UInt64] = (1...12).map { $0 &* 6_131 }

    @Test("an explanation accounts for every unit with every policy, and its pages are complete", arguments: seeds)
    func explanation(seed: UInt64) throws {
        var fold = Fold(tracksChanges: false)
        var received: [Name?: Units] = [:]
        var decisions: [(ProgressReport, Fold.Decision)] = []
        for event in RandomHistory.events(count: 300, seed: seed) {
            let decision = try fold.apply(event)
            guard case .progress(let report) = event.body else { continue }
            received[report.label, default: .zero] += report.units
            decisions.append((report, decision))
        }
        #expect(fold.explanation(of: "unknown", counting: .last, limit: 10) == nil)
        for policy in CountingPolicy.allCases {
            let snapshot = fold.snapshot(policy)
            for (label, units) in received {
                let whole = try #require(fold.explanation(of: label, counting: policy, limit: 1_000))
                let shown = snapshot.indicators.first { $0.label == label }?.counted ?? .zero
                #expect(whole.indicator.counted == shown, "\(policy)")
                #expect(whole.indicator.received == units)
                #expect(whole.indicator.isConserved)
                #expect(whole.entries.reduce(.zero) { $0 + $1.counted } == shown)
                #expect(whole.entries.reduce(.zero) { $0 + $1.superseded } == whole.indicator.superseded)
                #expect(whole.entries.reduce(.zero) { $0 + $1.discarded } == whole.indicator.discarded)
                for entry in whole.entries {
                    let own = decisions.filter {
                        $0.1.execution == entry.execution.id && $0.0.label == label
                    }
                    let discarded = own.filter { $0.1.verdict.isDiscarded }.reduce(Units.zero) { $0 + $1.0.units }
                    #expect(entry.discarded == discarded)
                    #expect(entry.reported == own.reduce(.zero) { $0 + $1.0.units } - discarded)
                    if policy == .all { #expect(entry.isCounted && entry.supersededBy == nil) }
                }
                var paged: [Explanation.Entry] = []
                var cursor: Explanation.Cursor?
                repeat {
                    let page = try #require(fold.explanation(of: label, counting: policy, limit: 2, after: cursor))
                    paged += page.entries
                    cursor = page.nextCursor
                } while cursor != nil
                #expect(paged == whole.entries)
            }
        }
    }

    @Test(
        "a difference contains all changed numbers and all executions that began or were superseded",
        arguments: seeds)
    func difference(seed: UInt64) throws {
        let events = RandomHistory.events(count: 300, seed: seed)
        for (start, end) in [(0, 300), (120, 200), (37, 37), (250, 300)] {
            var fold = Fold(tracksChanges: false)
            for event in events[..<start] { try fold.apply(event) }
            let before = fold
            var recorder = SnapshotDiffRecorder(from: fold, counting: .last, limit: 1_000)
            for event in events[start..<end] { recorder.record(event, try fold.apply(event), in: fold) }
            let difference = recorder.difference(to: fold)
            #expect(difference.from == before.snapshot() && difference.to == fold.snapshot())
            #expect(difference.events.values.reduce(0, +) == Int64(end - start))

            var numbers = Dictionary(
                uniqueKeysWithValues: difference.from.indicators.map { ($0.label, $0.counted) })
            for change in difference.indicators {
                #expect(numbers[change.label] == change.from)
                numbers[change.label] = change.to
            }
            #expect(
                numbers == Dictionary(uniqueKeysWithValues: difference.to.indicators.map { ($0.label, $0.counted) }))

            let startedExecutions = fold.executionStates.filter { $0.id.sequence > EventSequence(start) }
            #expect(difference.started.first.map(\.execution) == startedExecutions.map(\.identity))
            #expect(difference.started.count == Int64(startedExecutions.count))
            let supersededExecutions = fold.executionStates.filter { execution in
                execution.supersededBy.map { $0.sequence > EventSequence(start) && $0 > execution.id } ?? false
            }
            #expect(
                Set(difference.superseded.first.map(\.execution)) == Set(supersededExecutions.map(\.identity)),
                "seed \(seed)")
            for superseded in difference.superseded.first {
                let execution = try #require(fold.execution(superseded.execution.id))
                #expect(execution.supersededBy == superseded.by.id)
                // The units that it had counted then follow from its events before that moment.
                var then = Fold(tracksChanges: false)
                for event in events[..<Int(superseded.by.id.sequence - 1)] { try then.apply(event) }
                let had = try #require(then.execution(superseded.execution.id)).contributions.entries
                #expect(superseded.lost.map(\.units) == had.map(\.units))
            }
            let ends = events[start..<end].filter { event in
                if case .executionFinished = event.body { true } else { false }
            }
            #expect(difference.finished.count <= Int64(ends.count))
            #expect(Set(difference.finished.first.map(\.sequence)).isSubset(of: ends.map(\.sequence)))
        }
    }

    @Test("a difference lists only the requested number of changes, and counts all")
    func differenceLimit() throws {
        var fold = Fold(tracksChanges: false)
        var recorder = SnapshotDiffRecorder(from: fold, counting: .last, limit: 3)
        for event in RandomHistory.events(count: 300, seed: 5) {
            recorder.record(event, try fold.apply(event), in: fold)
        }
        let difference = recorder.difference(to: fold)
        #expect(difference.started.first.count == 3)
        #expect(difference.started.count == Int64(fold.executionStates.count))
    }

    @Test("a history agrees with the snapshots and contains every decrease with its cause", arguments: seeds)
    func history(seed: UInt64) throws {
        let events = RandomHistory.events(count: 400, seed: seed)
        for label in [Name?.none, "download"] {
            for points in [2, 10, 10_000] {
                var fold = Fold(tracksChanges: false)
                var recorder = IndicatorHistoryRecorder(label, points: points)
                var shown: [EventSequence: Units] = [:]
                var decreases: Set<EventSequence> = []
                for event in events {
                    let before = fold.snapshot().indicators.first { $0.label == label }?.counted
                    recorder.record(event, try fold.apply(event), in: fold)
                    let after = fold.snapshot().indicators.first { $0.label == label }?.counted
                    guard before != nil || after != nil else { continue }
                    let (old, new) = (before ?? .zero, after ?? .zero)
                    shown[event.sequence] = new
                    if new.total < old.total || new.done < old.done { decreases.insert(event.sequence) }
                }
                let history = try #require(recorder.history(through: fold))
                #expect(history.sequence == 400 && history.label == label)
                #expect(history.points.count <= max(points, decreases.count + 2))
                #expect(history.points.first?.sequence == shown.keys.min(), "seed \(seed)")
                #expect(history.points.last?.counted == shown[400], "seed \(seed)")
                for point in history.points { #expect(point.counted == shown[point.sequence], "seed \(seed)") }
                #expect(Set(history.points.filter { $0.cause != nil }.map(\.sequence)) == decreases, "seed \(seed)")
                for (left, right) in zip(history.points, history.points.dropFirst()) {
                    #expect(left.sequence < right.sequence)
                }
                for cause in history.points.compactMap(\.cause) {
                    #expect(fold.execution(cause.superseded.id)?.supersededBy == cause.execution.id)
                    #expect(cause.lost.total > 0 || cause.lost.done > 0)
                }
            }
        }
    }

    @Test("a long history is thinned evenly, and keeps its first and last points")
    func thinning() throws {
        var fold = Fold(tracksChanges: false)
        var recorder = IndicatorHistoryRecorder("x", points: 50)
        for sequence in 1...20_000 {
            let report = ProgressReport(reference: ExecutionReference(task: "t"), label: "x", total: 1, done: 1)
            let event = Event(
                sequence: EventSequence(sequence), recordedAt: Timestamp(microseconds: Int64(sequence)),
                body: .progress(report))
            recorder.record(event, try fold.apply(event), in: fold)
        }
        let history = try #require(recorder.history(through: fold))
        #expect(history.points.count == 50)
        #expect(history.points.first?.sequence == 1)
        #expect(history.points.last?.sequence == 20_000)
        for (left, right) in zip(history.points, history.points.dropFirst()) {
            #expect(right.sequence - left.sequence < 1_000)
        }
    }
}

extension ProgressReport {
    fileprivate var units: Units { Units(total: Int128(total ?? 0), done: Int128(done ?? 0)) }
}
