import Ledger
import LedgerTestSupport
import Testing

/// Differences, curves and explanations, which are read off a fold.
@Suite("What a fold tells of the past", .ownThread)
struct PastTests {
    static let seeds: [UInt64] = (1...12).map { $0 &* 6_131 }

    @Test("an explanation accounts for every unit by every policy, and pages add up to the whole", arguments: seeds)
    func explains(seed: UInt64) throws {
        var fold = Fold(tracksChanges: false)
        var received: [Name?: Units] = [:]
        var decisions: [(ProgressReport, Fold.Decision)] = []
        for event in RandomHistory.events(count: 300, seed: seed) {
            let decision = try fold.apply(event)
            guard case .progress(let report) = event.body else { continue }
            received[report.label, default: .zero] += report.units
            decisions.append((report, decision))
        }
        #expect(fold.explanation(of: "nobody's", counting: .last, limit: 10) == nil)
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
                        $0.1.execution == entry.execution.sequence && $0.0.label == label
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
        "a difference leads from one snapshot to the other, and tells every run that began, ended or lost its place",
        arguments: seeds)
    func differs(seed: UInt64) throws {
        let events = RandomHistory.events(count: 300, seed: seed)
        for (start, end) in [(0, 300), (120, 200), (37, 37), (250, 300)] {
            var fold = Fold(tracksChanges: false)
            for event in events[..<start] { try fold.apply(event) }
            let before = fold
            var recorder = SnapshotDiffRecorder(from: fold, counting: .last, limit: 1_000)
            for event in events[start..<end] { recorder.note(event, try fold.apply(event), in: fold) }
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

            let began = fold.executionStates.filter { $0.sequence > Int64(start) }
            #expect(difference.started.first.map(\.execution) == began.map(\.identity))
            #expect(difference.started.count == Int64(began.count))
            let lostPlace = fold.executionStates.filter { execution in
                execution.supersededBy.map { $0 > Int64(start) && $0 > execution.sequence } ?? false
            }
            #expect(
                Set(difference.superseded.first.map(\.execution)) == Set(lostPlace.map(\.identity)), "seed \(seed)")
            for superseded in difference.superseded.first {
                let execution = try #require(fold.execution(superseded.execution.sequence))
                #expect(execution.supersededBy == superseded.by.sequence)
                // What it had counted then: what its events before that moment say.
                var then = Fold(tracksChanges: false)
                for event in events[..<Int(superseded.by.sequence - 1)] { try then.apply(event) }
                let had = try #require(then.execution(superseded.execution.sequence)).contributions.entries
                #expect(superseded.lost.map(\.units) == had.map(\.units))
            }
            let ends = events[start..<end].filter { event in
                if case .executionFinished = event.body { true } else { false }
            }
            #expect(difference.finished.count <= Int64(ends.count))
            #expect(Set(difference.finished.first.map(\.sequence)).isSubset(of: ends.map(\.sequence)))
        }
    }

    @Test("of many changes as many are told as were asked for, and all are counted")
    func limits() throws {
        var fold = Fold(tracksChanges: false)
        var recorder = SnapshotDiffRecorder(from: fold, counting: .last, limit: 3)
        for event in RandomHistory.events(count: 300, seed: 5) { recorder.note(event, try fold.apply(event), in: fold) }
        let difference = recorder.difference(to: fold)
        #expect(difference.started.first.count == 3)
        #expect(difference.started.count == Int64(fold.executionStates.count))
    }

    @Test("a curve shows what the snapshots show, and every decrease with its cause", arguments: seeds)
    func curves(seed: UInt64) throws {
        let events = RandomHistory.events(count: 400, seed: seed)
        for label in [Name?.none, "download"] {
            for points in [2, 10, 10_000] {
                var fold = Fold(tracksChanges: false)
                var recorder = IndicatorHistoryRecorder(label, points: points)
                var shown: [Int64: Units] = [:]
                var falls: Set<Int64> = []
                for event in events {
                    let before = fold.snapshot().indicators.first { $0.label == label }?.counted
                    recorder.note(event, try fold.apply(event), in: fold)
                    let after = fold.snapshot().indicators.first { $0.label == label }?.counted
                    guard before != nil || after != nil else { continue }
                    let (old, new) = (before ?? .zero, after ?? .zero)
                    shown[event.sequence] = new
                    if new.total < old.total || new.done < old.done { falls.insert(event.sequence) }
                }
                let curve = try #require(recorder.curve(through: fold))
                #expect(curve.sequence == 400 && curve.label == label)
                #expect(curve.points.count <= max(points, falls.count + 2))
                #expect(curve.points.first?.sequence == shown.keys.min(), "seed \(seed)")
                #expect(curve.points.last?.counted == shown[400], "seed \(seed)")
                for point in curve.points { #expect(point.counted == shown[point.sequence], "seed \(seed)") }
                #expect(Set(curve.points.filter { $0.cause != nil }.map(\.sequence)) == falls, "seed \(seed)")
                for (left, right) in zip(curve.points, curve.points.dropFirst()) {
                    #expect(left.sequence < right.sequence)
                }
                for cause in curve.points.compactMap(\.cause) {
                    #expect(fold.execution(cause.superseded.sequence)?.supersededBy == cause.execution.sequence)
                    #expect(cause.lost.total > 0 || cause.lost.done > 0)
                }
            }
        }
    }

    @Test("a long curve is thinned evenly, its beginning and its end kept")
    func thins() throws {
        var fold = Fold(tracksChanges: false)
        var recorder = IndicatorHistoryRecorder("x", points: 50)
        for sequence in 1...20_000 {
            let report = ProgressReport(reference: ExecutionReference(task: "t"), label: "x", total: 1, done: 1)
            let event = Event(
                sequence: Int64(sequence), recordedAt: Timestamp(microseconds: Int64(sequence)),
                body: .progress(report))
            recorder.note(event, try fold.apply(event), in: fold)
        }
        let curve = try #require(recorder.curve(through: fold))
        #expect(curve.points.count == 50)
        #expect(curve.points.first?.sequence == 1)
        #expect(curve.points.last?.sequence == 20_000)
        for (left, right) in zip(curve.points, curve.points.dropFirst()) {
            #expect(right.sequence - left.sequence < 1_000)
        }
    }
}

extension ProgressReport {
    fileprivate var units: Units { Units(total: Int128(total ?? 0), done: Int128(done ?? 0)) }
}
