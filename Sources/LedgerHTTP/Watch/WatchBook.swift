internal import Ledger
internal import LedgerStore
internal import NIOCore

/// Who watches what, what is to be read for them, and who is to get what was read. Decides and does nothing.
struct WatchBook {
    /// A list of jobs that is watched: those who watch the same one share it.
    struct List: Hashable, Sendable {
        let filter: JobFilter
        let limit: Int
        let cursor: JobID?
    }

    /// What is watched.
    enum Subject: Hashable, Sendable {
        case job(JobID)
        case list(List)
    }

    /// What somebody is to be sent.
    enum Delivery: Sendable {
        case frame(WatchFrame, WatchMailbox)
        case list(ByteBuffer, without: [JobID], WatchMailbox)
    }

    /// What is to be read.
    struct Reading: Sendable {
        var jobs: [JobID] = []
        var lists: [List] = []
    }

    private struct JobEntry {
        var latest: WatchFrame
        var mailboxes: [Int: WatchMailbox] = [:]
    }

    private struct ListEntry {
        let list: List
        var frames: [JobID: WatchFrame] = [:]
        var mailboxes: [Int: WatchMailbox] = [:]
        /// The oldest job of a full list: none that is older comes in.
        var oldest: JobID?

        func mayHold(_ job: JobID) -> Bool {
            if let cursor = list.cursor, job >= cursor { return false }
            return oldest.map { job >= $0 } ?? true
        }

        /// Takes a newer snapshot of a job that it holds and goes on holding; nil where which jobs it holds may change.
        ///
        /// Costs a lookup, however long the list is: most snapshots are of this kind.
        mutating func update(_ frame: WatchFrame) -> [Delivery]? {
            let isHeld = frames[frame.job] != nil
            guard mayHold(frame.job), isHeld || list.filter.matches(frame) else { return [] }
            guard isHeld, list.filter.matches(frame) else { return nil }
            guard let known = frames[frame.job], frame.isNews(after: known) else { return [] }
            frames[frame.job] = frame
            return mailboxes.values.map { .frame(frame, $0) }
        }

        /// Puts these in place of what it held.
        mutating func hold(_ frames: [JobID: WatchFrame]) {
            let newest = frames.keys.sorted(by: >).prefix(list.limit)
            self.frames = frames.filter { $0.key >= newest.last ?? $0.key }
            oldest = newest.count == list.limit ? newest.last : nil
        }

        var text: ByteBuffer { WatchFrame.list(frames.keys.sorted(by: >)) }
    }

    private var jobs: [JobID: JobEntry] = [:]
    private var lists: [List: ListEntry] = [:]
    private var dueJobs: Set<JobID> = []
    private var dueLists: Set<List> = []
    private var nextNumber = 0
    /// How many watch.
    private(set) var count = 0

    /// How many different lists are watched.
    var listCount: Int { lists.count }
    var isAnythingDue: Bool { !dueJobs.isEmpty || !dueLists.isEmpty }

    /// Everybody's mailbox.
    var mailboxes: [WatchMailbox] {
        jobs.values.flatMap { $0.mailboxes.values } + lists.values.flatMap { $0.mailboxes.values }
    }

    // MARK: Coming and going

    /// Whether what this shows is known, so that it need not be read for who joins.
    ///
    /// - Parameter known: What who joins has already, maybe from another server: what is older is of no use to him.
    func isKnown(_ subject: Subject, from known: WatchPosition?) -> Bool {
        switch subject {
        case .job(let job): jobs[job].map { $0.latest.version.sequence >= known?.sequence ?? 0 } ?? false
        case .list(let list): lists[list] != nil
        }
    }

    /// Whether anybody watches this.
    func isWatched(_ subject: Subject) -> Bool {
        switch subject {
        case .job(let job): jobs[job] != nil
        case .list(let list): lists[list] != nil
        }
    }

    /// Lets somebody watch a job, or a list, with what was read of it for him.
    ///
    /// - Parameters:
    ///   - frames: What the subject shows; empty where that is known. Where nobody had watched it, it is read again, because
    ///     nobody was told of what has changed since.
    ///   - mailbox: Gets what it shows now.
    /// - Returns: The watcher's number, to leave with, and what it is to be sent at once.
    mutating func join(
        _ subject: Subject, reading frames: [WatchFrame], _ mailbox: WatchMailbox
    ) -> (number: Int, deliveries: [Delivery]) {
        nextNumber += 1
        count += 1
        switch subject {
        case .job(let job):
            var deliveries: [Delivery] = []
            if jobs[job] != nil, let frame = frames.first {
                deliveries = publish(frame)
            } else if let frame = frames.first {
                jobs[job] = JobEntry(latest: frame)
                dueJobs.insert(job)
            }
            jobs[job]?.mailboxes[nextNumber] = mailbox
            return (nextNumber, deliveries + (jobs[job].map { [.frame($0.latest.shownNow(), mailbox)] } ?? []))
        case .list(let list):
            if lists[list] == nil {
                var entry = ListEntry(list: list)
                entry.hold(Dictionary(uniqueKeysWithValues: frames.map { ($0.job, $0) }))
                lists[list] = entry
                dueLists.insert(list)
            }
            lists[list]?.mailboxes[nextNumber] = mailbox
            guard let entry = lists[list] else { return (nextNumber, []) }
            return (
                nextNumber,
                [.list(entry.text, without: [], mailbox)] + entry.frames.values.map { .frame($0.shownNow(), mailbox) }
            )
        }
    }

    mutating func leave(_ subject: Subject, _ number: Int) {
        switch subject {
        case .job(let job):
            guard jobs[job]?.mailboxes.removeValue(forKey: number) != nil else { return }
            if jobs[job]?.mailboxes.isEmpty == true { jobs[job] = nil }
        case .list(let list):
            guard lists[list]?.mailboxes.removeValue(forKey: number) != nil else { return }
            if lists[list]?.mailboxes.isEmpty == true { lists[list] = nil }
        }
        count -= 1
    }

    // MARK: What is due

    /// Notes that a snapshot has moved. Costs a look at every list that is watched.
    mutating func hear(_ hint: FoldHint) {
        switch hint {
        case .missed: lookAtEverything()
        case .folded(let job, let sequence):
            if let entry = jobs[job], entry.latest.version.sequence < sequence { dueJobs.insert(job) }
            if lists.values.contains(where: { $0.mayHold(job) }) { dueJobs.insert(job) }
        }
    }

    mutating func lookAtEverything() {
        dueJobs = Set(jobs.keys)
        dueLists = Set(lists.keys)
    }

    /// Takes what is due, some of it where it is much.
    mutating func take(jobsMax: Int, listsMax: Int) -> Reading {
        let reading = Reading(jobs: Array(dueJobs.prefix(jobsMax)), lists: Array(dueLists.prefix(listsMax)))
        dueJobs.subtract(reading.jobs)
        dueLists.subtract(reading.lists)
        return reading
    }

    /// Puts back what could not be read.
    mutating func putBack(_ reading: Reading) {
        dueJobs.formUnion(reading.jobs)
        dueLists.formUnion(reading.lists)
    }

    // MARK: What was read

    /// Takes note of a snapshot; returns who is to get it.
    mutating func publish(_ frame: WatchFrame) -> [Delivery] {
        var deliveries: [Delivery] = []
        if let entry = jobs[frame.job], frame.isNews(after: entry.latest) {
            jobs[frame.job]?.latest = frame
            deliveries += entry.mailboxes.values.map { .frame(frame, $0) }
        }
        for list in Array(lists.keys) {
            if let updates = lists[list]?.update(frame) {
                deliveries += updates
                continue
            }
            guard let entry = lists[list] else { continue }
            var frames = entry.frames
            if list.filter.matches(frame) {
                if frames[frame.job].map({ frame.isNews(after: $0) }) ?? true { frames[frame.job] = frame }
            } else if frames.removeValue(forKey: frame.job) != nil, entry.oldest != nil {
                // There is room now for one that is older, which only the ledger knows.
                dueLists.insert(list)
            }
            deliveries += show(frames, in: list)
        }
        return deliveries
    }

    /// Takes note of what a list holds; returns who is to get what.
    mutating func publish(_ frames: [WatchFrame], in list: List) -> [Delivery] {
        show(Dictionary(uniqueKeysWithValues: frames.map { ($0.job, $0) }), in: list)
    }

    private mutating func show(_ frames: [JobID: WatchFrame], in list: List) -> [Delivery] {
        guard let before = lists[list]?.frames else { return [] }
        lists[list]?.hold(frames)
        guard let entry = lists[list] else { return [] }
        var deliveries: [Delivery] = []
        if Set(before.keys) != Set(entry.frames.keys) {
            let text = entry.text
            let left = before.keys.filter { entry.frames[$0] == nil }
            deliveries += entry.mailboxes.values.map { .list(text, without: left, $0) }
        }
        for (job, frame) in entry.frames where before[job]?.version != frame.version {
            deliveries += entry.mailboxes.values.map { .frame(frame, $0) }
        }
        return deliveries
    }
}

extension JobFilter {
    /// Whether a job belongs to a list. The ledger decides the same by a query.
    func matches(_ frame: WatchFrame) -> Bool {
        (state.map { $0 == frame.state } ?? true) && (name.map { $0 == frame.description.name } ?? true)
            && (key.map { $0 == frame.description.key } ?? true)
            && (search.map { $0.isFound(in: frame.description) } ?? true)
            && tags.allSatisfy { frame.description.tags[$0.key] == $0.value }
    }
}

extension Name {
    fileprivate func isFound(in description: JobDescription) -> Bool {
        description.name.contains(self) || description.key == self
    }
}
