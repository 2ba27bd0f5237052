import Ledger
import LedgerStore
import NIOCore
import Testing

@testable import LedgerHTTP

@Suite("Who is to be told what")
struct WatchBookTests {
    private static let ids = (0..<4).map { number in
        JobID(createdAt: Timestamp(microseconds: 1_000_000 * Int64(number + 1)), randomHigh: 0, randomLow: 0)
    }

    private static func frame(
        _ job: Int, _ sequence: Int64, projection: Int16 = 1, state: JobState = .running, name: Name = "n",
        history: UInt64 = 0, readSince began: ContinuousClock.Instant = .now
    ) -> WatchFrame {
        let moment = Timestamp(microseconds: 0)
        return WatchFrame(
            JobView(
                id: ids[job], description: JobDescription(name: name), createdAt: moment, ledgerSequence: sequence,
                snapshot: Snapshot(
                    sequence: sequence, state: state, createdAt: moment, startedAt: nil, updatedAt: moment,
                    finishedAt: nil, tasks: TaskCounts(), indicators: []), projection: projection,
                history: EventHash(history, 0, 0, 0)), readSince: began)
    }

    private static func jobs(_ deliveries: [WatchBook.Delivery]) -> [JobID] {
        deliveries.compactMap { if case .frame(let frame, _) = $0 { frame.job } else { nil } }
    }

    private static func lists(_ deliveries: [WatchBook.Delivery]) -> Int {
        deliveries.count { if case .list = $0 { true } else { false } }
    }

    @Test("nothing is read for jobs that nobody watches, nor for news that are known")
    func readsWhatIsWanted() {
        var book = WatchBook()
        book.hear(.folded(Self.ids[0], sequence: 2))
        #expect(!book.isAnythingDue)
        _ = book.join(.job(Self.ids[0]), reading: [Self.frame(0, 2)], WatchMailbox())
        #expect(book.take(jobsMax: 10, listsMax: 10).jobs == [Self.ids[0]])
        book.hear(.folded(Self.ids[0], sequence: 2))
        book.hear(.folded(Self.ids[1], sequence: 9))
        #expect(!book.isAnythingDue)
        book.hear(.folded(Self.ids[0], sequence: 3))
        #expect(book.take(jobsMax: 10, listsMax: 10).jobs == [Self.ids[0]])
    }

    @Test("every watcher of a job gets a change once, and one who has left gets nothing")
    func delivers() {
        var book = WatchBook()
        let subject = WatchBook.Subject.job(Self.ids[0])
        let first = book.join(subject, reading: [Self.frame(0, 1)], WatchMailbox())
        let second = book.join(subject, reading: [], WatchMailbox())
        #expect(Self.jobs(first.deliveries) == [Self.ids[0]] && Self.jobs(second.deliveries) == [Self.ids[0]])
        #expect(book.publish(Self.frame(0, 2)).count == 2)
        #expect(book.publish(Self.frame(0, 2)).isEmpty)
        book.leave(subject, first.number)
        #expect(book.publish(Self.frame(0, 3)).count == 1)
        book.leave(subject, second.number)
        book.leave(subject, second.number)
        #expect(book.count == 0 && book.mailboxes.isEmpty && !book.isWatched(subject))
    }

    @Test("a replay that was applied is told, though the sequence is the same")
    func tellsReplays() {
        var book = WatchBook()
        _ = book.join(.job(Self.ids[0]), reading: [Self.frame(0, 5)], WatchMailbox())
        #expect(book.publish(Self.frame(0, 5, projection: 2)).count == 1)
    }

    @Test("who comes from another server with a newer snapshot is not shown an older one, and nobody goes back")
    func goesForward() {
        var book = WatchBook()
        let subject = WatchBook.Subject.job(Self.ids[0])
        _ = book.join(subject, reading: [Self.frame(0, 5)], WatchMailbox())
        #expect(book.isKnown(subject, from: nil))
        #expect(book.isKnown(subject, from: WatchPosition("5")) && !book.isKnown(subject, from: WatchPosition("6")))
        let began = ContinuousClock.now
        let joined = book.join(subject, reading: [Self.frame(0, 7)], WatchMailbox())
        // The one who was there gets it too.
        #expect(Self.jobs(joined.deliveries).count == 2)
        // Read at the same time as the one before, and older.
        #expect(book.publish(Self.frame(0, 6, readSince: began)).isEmpty)
        #expect(book.publish(Self.frame(0, 8)).count == 2)
    }

    @Test("a ledger that was set back is shown, in streams of a job and of lists, and then goes on")
    func setBack() {
        var book = WatchBook()
        let list = WatchBook.List(filter: JobFilter(), limit: 2, cursor: nil)
        _ = book.join(.job(Self.ids[0]), reading: [Self.frame(0, 10, history: 1)], WatchMailbox())
        _ = book.join(.list(list), reading: [Self.frame(0, 10, history: 1)], WatchMailbox())
        // Nothing new: the same history.
        #expect(book.publish(Self.frame(0, 10, history: 1)).isEmpty)
        #expect(book.publish(Self.frame(0, 5, history: 2)).count == 2)
        #expect(book.publish(Self.frame(0, 5, history: 2)).isEmpty)
        // The same sequence as in the history that was lost, with other events.
        #expect(book.publish(Self.frame(0, 10, history: 3)).count == 2)
        #expect(book.publish(Self.frame(0, 10, history: 4)).count == 2)
    }

    @Test("a position of a stream names the history, and one without it is known by no server")
    func positions() {
        let frame = Self.frame(0, 10, history: 0xABC)
        #expect(WatchPosition(frame.version).text == "10-abc")
        #expect(WatchPosition("10-abc") == WatchPosition(frame.version))
        #expect(WatchPosition("10") != WatchPosition(frame.version))
        for strange in ["", "x", "10-", "10-xyz", "10-1-2", "-", "99999999999999999999"] {
            #expect(WatchPosition(strange) == nil, "\(strange)")
        }
        var text = WatchText(job: Self.ids[0], known: WatchPosition("10-abc"))
        var mail = WatchMailbox.Mail()
        mail.put(frame)
        #expect(text.parts(of: mail).parts == [frame.id])
        for known in ["10", "10-abd", "9-abc"] {
            text = WatchText(job: Self.ids[0], known: WatchPosition(known))
            #expect(text.parts(of: mail).parts == [frame.snapshotWithID], "\(known)")
        }
    }

    @Test("a full list takes newer jobs in, lets the oldest go, and asks for older ones when there is room")
    func fillsLists() {
        var book = WatchBook()
        let list = WatchBook.List(filter: JobFilter(state: .running, name: "n"), limit: 2, cursor: nil)
        let frames = [Self.frame(1, 1), Self.frame(2, 1)]
        let joined = book.join(.list(list), reading: frames, WatchMailbox())
        #expect(Self.lists(joined.deliveries) == 1 && Set(Self.jobs(joined.deliveries)) == Set(Self.ids[1...2]))
        #expect(book.take(jobsMax: 9, listsMax: 9).lists == [list])
        book.hear(.folded(Self.ids[0], sequence: 7))
        #expect(!book.isAnythingDue)
        #expect(book.publish(Self.frame(3, 1, name: "other")).isEmpty)
        let newer = book.publish(Self.frame(3, 1))
        #expect(Self.lists(newer) == 1 && Self.jobs(newer) == [Self.ids[3]])
        guard case .list(_, let left, _) = newer[0] else { return }
        #expect(left == [Self.ids[1]])
        let ended = book.publish(Self.frame(2, 2, state: .failed))
        #expect(Self.lists(ended) == 1 && Self.jobs(ended).isEmpty)
        #expect(book.take(jobsMax: 9, listsMax: 9).lists == [list])
        let refilled = book.publish([Self.frame(3, 1), Self.frame(1, 1)], in: list)
        #expect(Self.lists(refilled) == 1 && Self.jobs(refilled) == [Self.ids[1]])
    }

    private static func contents(_ mail: WatchMailbox.Mail?) -> [JobID: Int64] {
        Dictionary(uniqueKeysWithValues: (mail?.frames ?? []).map { ($0.job, $0.version.sequence) })
    }

    @Test("whichever job leaves, and whichever comes again, a watcher gets one snapshot of each, the newest")
    func comingAndLeaving() async {
        let mailbox = WatchMailbox()
        for number in 0...2 { mailbox.offer(Self.frame(number, 1)) }
        mailbox.offer(WatchFrame.list([]), without: [Self.ids[0]])
        mailbox.offer(Self.frame(1, 2))
        mailbox.offer(Self.frame(2, 2))
        #expect(Self.contents(await mailbox.next()) == [Self.ids[1]: 2, Self.ids[2]: 2])
        mailbox.offer(Self.frame(0, 1))
        mailbox.offer(WatchFrame.list([]), without: [Self.ids[0]])
        mailbox.offer(Self.frame(1, 3))
        #expect(Self.contents(await mailbox.next()) == [Self.ids[1]: 3])
    }

    @Test("a watcher that takes its time gets the newest snapshot, and none of those before it")
    func newestWins() async {
        let mailbox = WatchMailbox()
        for sequence in 1...1_000 { mailbox.offer(Self.frame(0, Int64(sequence))) }
        mailbox.offer(Self.frame(1, 1))
        mailbox.offerHeartbeat()
        let mail = await mailbox.next()
        #expect(Self.contents(mail) == [Self.ids[0]: 1_000, Self.ids[1]: 1])
        #expect(mail?.frames.map(\.job) == [Self.ids[0], Self.ids[1]].sorted(by: >))
        mailbox.offer(Self.frame(1, 2))
        mailbox.offer(WatchFrame.list([]), without: [Self.ids[1]])
        #expect(await mailbox.next()?.frames.isEmpty == true)
        mailbox.close()
        #expect(await mailbox.next() == nil)
    }
}
