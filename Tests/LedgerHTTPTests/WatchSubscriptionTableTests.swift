import Ledger
import LedgerStore
import NIOCore
import Testing

@testable import LedgerHTTP

@Suite("The table of subscriptions")
struct WatchSubscriptionTableTests {
    private static let ids = (0..<4).map { number in
        JobID(createdAt: Timestamp(microseconds: 1_000_000 * Int64(number + 1)), randomHigh: 0, randomLow: 0)
    }

    private static func snapshot(
        _ job: Int, _ sequence: EventSequence, projection: Int16 = 1, state: JobState = .running, name: Name = "n",
        history: UInt64 = 0, readSince began: ContinuousClock.Instant = .now
    ) -> EncodedSnapshot {
        let moment = Timestamp(microseconds: 0)
        return EncodedSnapshot(
            JobView(
                id: ids[job], description: JobDescription(name: name), createdAt: moment, ledgerSequence: sequence,
                snapshot: Snapshot(
                    sequence: sequence, state: state, createdAt: moment, startedAt: nil, updatedAt: moment,
                    finishedAt: nil, tasks: TaskCounts(), indicators: []),
                version: JobView.Version(projection: projection, history: EventHash(history, 0, 0, 0))),
            readSince: began)
    }

    private static func jobs(_ deliveries: [WatchSubscriptionTable.Delivery]) -> [JobID] {
        deliveries.compactMap { if case .snapshot(let encoded, _) = $0 { encoded.job } else { nil } }
    }

    private static func lists(_ deliveries: [WatchSubscriptionTable.Delivery]) -> Int {
        deliveries.count { if case .list = $0 { true } else { false } }
    }

    @Test("unwatched jobs and current snapshots are not read")
    func readsOnlyChanges() {
        var table = WatchSubscriptionTable()
        table.receive(.folded(Self.ids[0], sequence: 2))
        #expect(!table.isAnythingDue)
        _ = table.add(.job(Self.ids[0]), reading: [Self.snapshot(0, 2)], NewestUpdateBuffer())
        #expect(table.take(jobsMax: 10, listsMax: 10).jobs == [Self.ids[0]])
        table.receive(.folded(Self.ids[0], sequence: 2))
        table.receive(.folded(Self.ids[1], sequence: 9))
        #expect(!table.isAnythingDue)
        table.receive(.folded(Self.ids[0], sequence: 3))
        #expect(table.take(jobsMax: 10, listsMax: 10).jobs == [Self.ids[0]])
    }

    @Test("every watcher of a job gets each change once, and none after it has unsubscribed")
    func delivers() {
        var table = WatchSubscriptionTable()
        let subject = WatchSubscriptionTable.Subject.job(Self.ids[0])
        let first = table.add(subject, reading: [Self.snapshot(0, 1)], NewestUpdateBuffer())
        let second = table.add(subject, reading: [], NewestUpdateBuffer())
        #expect(Self.jobs(first.deliveries) == [Self.ids[0]] && Self.jobs(second.deliveries) == [Self.ids[0]])
        #expect(table.publish(Self.snapshot(0, 2)).count == 2)
        #expect(table.publish(Self.snapshot(0, 2)).isEmpty)
        table.remove(subject, first.number)
        #expect(table.publish(Self.snapshot(0, 3)).count == 1)
        table.remove(subject, second.number)
        table.remove(subject, second.number)
        #expect(table.count == 0 && table.buffers.isEmpty && !table.isWatched(subject))
    }

    @Test("an applied replay is delivered although the sequence is the same")
    func deliversReplays() {
        var table = WatchSubscriptionTable()
        _ = table.add(.job(Self.ids[0]), reading: [Self.snapshot(0, 5)], NewestUpdateBuffer())
        #expect(table.publish(Self.snapshot(0, 5, projection: 2)).count == 1)
    }

    @Test("a watcher with a newer snapshot from another server never gets an older one")
    func neverGoesBack() {
        var table = WatchSubscriptionTable()
        let subject = WatchSubscriptionTable.Subject.job(Self.ids[0])
        _ = table.add(subject, reading: [Self.snapshot(0, 5)], NewestUpdateBuffer())
        #expect(table.hasSnapshot(of: subject, from: nil))
        #expect(table.hasSnapshot(of: subject, from: StreamPosition("5")))
        #expect(!table.hasSnapshot(of: subject, from: StreamPosition("6")))
        let began = ContinuousClock.now
        let joined = table.add(subject, reading: [Self.snapshot(0, 7)], NewestUpdateBuffer())
        // The earlier subscriber gets it too.
        #expect(Self.jobs(joined.deliveries).count == 2)
        // This read overlapped the previous one, and its snapshot is older.
        #expect(table.publish(Self.snapshot(0, 6, readSince: began)).isEmpty)
        #expect(table.publish(Self.snapshot(0, 8)).count == 2)
    }

    @Test("streams of jobs and of lists follow a ledger that was restored from a backup")
    func restored() {
        var table = WatchSubscriptionTable()
        let list = WatchSubscriptionTable.List(filter: JobFilter(), limit: 2, cursor: nil)
        _ = table.add(.job(Self.ids[0]), reading: [Self.snapshot(0, 10, history: 1)], NewestUpdateBuffer())
        _ = table.add(.list(list), reading: [Self.snapshot(0, 10, history: 1)], NewestUpdateBuffer())
        // Nothing has changed: the history is the same.
        #expect(table.publish(Self.snapshot(0, 10, history: 1)).isEmpty)
        #expect(table.publish(Self.snapshot(0, 5, history: 2)).count == 2)
        #expect(table.publish(Self.snapshot(0, 5, history: 2)).isEmpty)
        // The sequence is the same as in the lost history, but the events differ.
        #expect(table.publish(Self.snapshot(0, 10, history: 3)).count == 2)
        #expect(table.publish(Self.snapshot(0, 10, history: 4)).count == 2)
    }

    @Test("a stream position identifies the history; one without a history matches no snapshot")
    func positions() {
        let encoded = Self.snapshot(0, 10, history: 0xABC)
        #expect(StreamPosition(encoded.version).text == "10-abc")
        #expect(StreamPosition("10-abc") == StreamPosition(encoded.version))
        #expect(StreamPosition("10") != StreamPosition(encoded.version))
        for invalid in ["", "x", "10-", "10-xyz", "10-1-2", "-", "99999999999999999999"] {
            #expect(StreamPosition(invalid) == nil, "\(invalid)")
        }
        var text = ServerSentEvents(job: Self.ids[0], position: StreamPosition("10-abc"))
        var contents = NewestUpdateBuffer.Contents()
        contents.put(encoded)
        #expect(text.parts(of: contents).parts == [encoded.id])
        for other in ["10", "10-abd", "9-abc"] {
            text = ServerSentEvents(job: Self.ids[0], position: StreamPosition(other))
            #expect(text.parts(of: contents).parts == [encoded.snapshotWithID], "\(other)")
        }
    }

    @Test("a full list replaces its oldest job by a newer one, and is read again if it has room")
    func fillsLists() {
        var table = WatchSubscriptionTable()
        let list = WatchSubscriptionTable.List(filter: JobFilter(state: .running, name: "n"), limit: 2, cursor: nil)
        let encodedSnapshots = [Self.snapshot(1, 1), Self.snapshot(2, 1)]
        let joined = table.add(.list(list), reading: encodedSnapshots, NewestUpdateBuffer())
        #expect(Self.lists(joined.deliveries) == 1 && Set(Self.jobs(joined.deliveries)) == Set(Self.ids[1...2]))
        #expect(table.take(jobsMax: 9, listsMax: 9).lists == [list])
        table.receive(.folded(Self.ids[0], sequence: 7))
        #expect(!table.isAnythingDue)
        #expect(table.publish(Self.snapshot(3, 1, name: "other")).isEmpty)
        let newer = table.publish(Self.snapshot(3, 1))
        #expect(Self.lists(newer) == 1 && Self.jobs(newer) == [Self.ids[3]])
        guard case .list(_, let left, _)? = newer.first else {
            Issue.record("the list does not come first: \(newer)")
            return
        }
        #expect(left == [Self.ids[1]])
        let ended = table.publish(Self.snapshot(2, 2, state: .failed))
        #expect(Self.lists(ended) == 1 && Self.jobs(ended).isEmpty)
        #expect(table.take(jobsMax: 9, listsMax: 9).lists == [list])
        let refilled = table.publish([Self.snapshot(3, 1), Self.snapshot(1, 1)], in: list)
        #expect(Self.lists(refilled) == 1 && Self.jobs(refilled) == [Self.ids[1]])
    }

    private static func contents(_ contents: NewestUpdateBuffer.Contents?) -> [JobID: EventSequence] {
        Dictionary(uniqueKeysWithValues: (contents?.snapshots ?? []).map { ($0.job, $0.version.sequence) })
    }

    /// The contents of a buffer; nil if it is empty or closed.
    private static func take(_ buffer: NewestUpdateBuffer) -> NewestUpdateBuffer.Contents? {
        if case .contents(let contents) = buffer.take(orCall: {}) { contents } else { nil }
    }

    @Test("a watcher gets only the newest snapshot of each job, even if jobs leave and return")
    func leavingAndReturning() {
        let buffer = NewestUpdateBuffer()
        for number in 0...2 { buffer.offer(Self.snapshot(number, 1)) }
        buffer.offer(EncodedSnapshot.list([]), without: [Self.ids[0]])
        buffer.offer(Self.snapshot(1, 2))
        buffer.offer(Self.snapshot(2, 2))
        #expect(Self.contents(Self.take(buffer)) == [Self.ids[1]: 2, Self.ids[2]: 2])
        buffer.offer(Self.snapshot(0, 1))
        buffer.offer(EncodedSnapshot.list([]), without: [Self.ids[0]])
        buffer.offer(Self.snapshot(1, 3))
        #expect(Self.contents(Self.take(buffer)) == [Self.ids[1]: 3])
    }

    @Test("a slow watcher gets only the newest snapshot")
    func newestWins() {
        let buffer = NewestUpdateBuffer()
        for sequence in 1...1_000 { buffer.offer(Self.snapshot(0, EventSequence(sequence))) }
        buffer.offer(Self.snapshot(1, 1))
        buffer.offerHeartbeat()
        let contents = Self.take(buffer)
        #expect(Self.contents(contents) == [Self.ids[0]: 1_000, Self.ids[1]: 1])
        #expect(contents?.snapshots.map(\.job) == [Self.ids[0], Self.ids[1]].sorted(by: >))
        buffer.offer(Self.snapshot(1, 2))
        buffer.offer(EncodedSnapshot.list([]), without: [Self.ids[1]])
        #expect(Self.take(buffer)?.snapshots.isEmpty == true)
        buffer.close()
        #expect(Self.take(buffer) == nil)
    }
}
