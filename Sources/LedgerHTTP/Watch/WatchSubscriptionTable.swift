internal import Ledger
internal import LedgerStore
internal import NIOCore

/// A table of subscriptions and due reads.
///
/// It decides which snapshots to read and which buffers get them. It is a pure state machine, which neither reads nor
/// sends.
struct WatchSubscriptionTable {
    /// A list of jobs; subscribers of the same list share its reads.
    struct List: Hashable, Sendable {
        var filter: JobFilter
        var limit: Int
        var cursor: JobID?
        /// The only jobs that can be in the list; nil for all.
        var jobs: Set<JobID>?

        /// Reads the jobs of the list, newest first.
        func read(from service: any LedgerService) async throws(StoreError) -> [JobView] {
            guard let jobs else { return try await service.jobs(filter, limit: limit, after: cursor) }
            return try await service.jobs(Array(jobs)).filter { includes($0.id) && filter.matches($0) }
        }

        /// Whether a job can be in the list, by its id.
        func includes(_ job: JobID) -> Bool {
            if let cursor, job >= cursor { return false }
            return jobs?.contains(job) ?? true
        }
    }

    /// A watched job or list of jobs.
    enum Subject: Hashable, Sendable {
        case job(JobID)
        case list(List)
    }

    /// An offer to one buffer.
    enum Delivery: Sendable {
        case snapshot(EncodedSnapshot, NewestUpdateBuffer)
        case list(ByteBuffer, without: [JobID], NewestUpdateBuffer)
    }

    /// Jobs and lists to read.
    struct Reading: Sendable {
        var jobs: [JobID] = []
        var lists: [List] = []
    }

    private struct JobEntry {
        var latest: EncodedSnapshot
        var buffers: [Int: NewestUpdateBuffer] = [:]
    }

    private struct ListEntry {
        let list: List
        var snapshots: [JobID: EncodedSnapshot] = [:]
        var buffers: [Int: NewestUpdateBuffer] = [:]
        /// The oldest job of a full list; nil if the list is not full.
        ///
        /// No older job can enter a full list.
        var oldest: JobID?

        func mayContain(_ job: JobID) -> Bool {
            list.includes(job) && oldest.map { job >= $0 } ?? true
        }

        /// Replaces the snapshot of a job that stays in the list.
        ///
        /// This is the common case. It costs one lookup for a list of any length.
        ///
        /// - Returns: Nil if the jobs of the list may change.
        mutating func update(_ snapshot: EncodedSnapshot) -> [Delivery]? {
            let isListed = snapshots[snapshot.job] != nil
            guard mayContain(snapshot.job), isListed || list.filter.matches(snapshot) else { return [] }
            guard isListed, list.filter.matches(snapshot) else { return nil }
            guard let present = snapshots[snapshot.job], snapshot.supersedes(present) else { return [] }
            snapshots[snapshot.job] = snapshot
            return buffers.values.map { .snapshot(snapshot, $0) }
        }

        /// Replaces all snapshots; keeps the newest jobs up to the limit.
        mutating func replace(_ snapshots: [JobID: EncodedSnapshot]) {
            let newest = snapshots.keys.sorted(by: >).prefix(list.limit)
            self.snapshots = snapshots.filter { $0.key >= newest.last ?? $0.key }
            oldest = newest.count == list.limit ? newest.last : nil
        }

        var text: ByteBuffer { EncodedSnapshot.list(snapshots.keys.sorted(by: >)) }
    }

    private var jobs: [JobID: JobEntry] = [:]
    private var lists: [List: ListEntry] = [:]
    private var dueJobs: Set<JobID> = []
    private var dueLists: Set<List> = []
    private var nextNumber = 0
    /// The number of subscriptions.
    private(set) var count = 0

    /// The number of different lists that are watched.
    var listCount: Int { lists.count }
    var isAnythingDue: Bool { !dueJobs.isEmpty || !dueLists.isEmpty }

    /// The buffers of all subscriptions.
    var buffers: [NewestUpdateBuffer] {
        jobs.values.flatMap { $0.buffers.values } + lists.values.flatMap { $0.buffers.values }
    }

    // MARK: Subscriptions

    /// Whether the table has a snapshot for a new subscriber.
    ///
    /// - Parameter position: The position that the subscriber has. Another server may have sent it, and may have been
    ///   ahead; a snapshot older than this does not help the subscriber.
    func hasSnapshot(of subject: Subject, from position: StreamPosition?) -> Bool {
        switch subject {
        case .job(let job): jobs[job].map { $0.latest.version.sequence >= position?.sequence ?? 0 } ?? false
        case .list(let list): lists[list] != nil
        }
    }

    /// Whether the subject has a subscriber.
    func isWatched(_ subject: Subject) -> Bool {
        switch subject {
        case .job(let job): jobs[job] != nil
        case .list(let list): lists[list] != nil
        }
    }

    /// Adds a subscription.
    ///
    /// - Parameters:
    ///   - snapshots: The snapshots that were read of the subject; empty if the table has them. A subject that had no
    ///     subscriber until now becomes due again, because its changes since the read were not recorded.
    /// - Returns: The number of the subscription, and its first deliveries.
    mutating func add(
        _ subject: Subject, reading snapshots: [EncodedSnapshot], _ buffer: NewestUpdateBuffer
    ) -> (number: Int, deliveries: [Delivery]) {
        nextNumber += 1
        count += 1
        switch subject {
        case .job(let job):
            var deliveries: [Delivery] = []
            if jobs[job] != nil, let snapshot = snapshots.first {
                deliveries = publish(snapshot)
            } else if let snapshot = snapshots.first {
                jobs[job] = JobEntry(latest: snapshot)
                dueJobs.insert(job)
            }
            jobs[job]?.buffers[nextNumber] = buffer
            return (nextNumber, deliveries + (jobs[job].map { [.snapshot($0.latest.stampedNow(), buffer)] } ?? []))
        case .list(let list):
            if lists[list] == nil {
                var entry = ListEntry(list: list)
                entry.replace(Dictionary(uniqueKeysWithValues: snapshots.map { ($0.job, $0) }))
                lists[list] = entry
                dueLists.insert(list)
            }
            lists[list]?.buffers[nextNumber] = buffer
            guard let entry = lists[list] else { return (nextNumber, []) }
            let first = entry.snapshots.values.map { Delivery.snapshot($0.stampedNow(), buffer) }
            return (nextNumber, [.list(entry.text, without: [], buffer)] + first)
        }
    }

    /// Removes a subscription.
    mutating func remove(_ subject: Subject, _ number: Int) {
        switch subject {
        case .job(let job):
            guard jobs[job]?.buffers.removeValue(forKey: number) != nil else { return }
            if jobs[job]?.buffers.isEmpty == true { jobs[job] = nil }
        case .list(let list):
            guard lists[list]?.buffers.removeValue(forKey: number) != nil else { return }
            if lists[list]?.buffers.isEmpty == true { lists[list] = nil }
        }
        count -= 1
    }

    // MARK: Due reads

    /// Marks a changed job as due if it is watched.
    ///
    /// The cost grows with the number of watched lists.
    mutating func receive(_ hint: SnapshotHint) {
        switch hint {
        case .missed: markEverythingDue()
        case .folded(let job, let sequence):
            if let entry = jobs[job], entry.latest.version.sequence < sequence { dueJobs.insert(job) }
            if lists.values.contains(where: { $0.mayContain(job) }) { dueJobs.insert(job) }
        }
    }

    mutating func markEverythingDue() {
        dueJobs = Set(jobs.keys)
        dueLists = Set(lists.keys)
    }

    /// Takes due reads, at most this many.
    mutating func take(jobsMax: Int, listsMax: Int) -> Reading {
        let reading = Reading(jobs: Array(dueJobs.prefix(jobsMax)), lists: Array(dueLists.prefix(listsMax)))
        dueJobs.subtract(reading.jobs)
        dueLists.subtract(reading.lists)
        return reading
    }

    /// Marks unread jobs and lists as due again.
    mutating func putBack(_ reading: Reading) {
        dueJobs.formUnion(reading.jobs)
        dueLists.formUnion(reading.lists)
    }

    // MARK: Publication

    /// Stores a snapshot and returns its deliveries.
    mutating func publish(_ snapshot: EncodedSnapshot) -> [Delivery] {
        var deliveries: [Delivery] = []
        if let entry = jobs[snapshot.job], snapshot.supersedes(entry.latest) {
            jobs[snapshot.job]?.latest = snapshot
            deliveries += entry.buffers.values.map { .snapshot(snapshot, $0) }
        }
        for list in Array(lists.keys) {
            if let updates = lists[list]?.update(snapshot) {
                deliveries += updates
                continue
            }
            guard let entry = lists[list] else { continue }
            var snapshots = entry.snapshots
            if list.filter.matches(snapshot) {
                if snapshots[snapshot.job].map({ snapshot.supersedes($0) }) ?? true {
                    snapshots[snapshot.job] = snapshot
                }
            } else if snapshots.removeValue(forKey: snapshot.job) != nil, entry.oldest != nil {
                // The list has room for an older job, which only the ledger can find.
                dueLists.insert(list)
            }
            deliveries += replace(snapshots, in: list)
        }
        return deliveries
    }

    /// Stores the snapshots of a list and returns their deliveries.
    mutating func publish(_ snapshots: [EncodedSnapshot], in list: List) -> [Delivery] {
        replace(Dictionary(uniqueKeysWithValues: snapshots.map { ($0.job, $0) }), in: list)
    }

    private mutating func replace(_ snapshots: [JobID: EncodedSnapshot], in list: List) -> [Delivery] {
        guard let before = lists[list]?.snapshots else { return [] }
        lists[list]?.replace(snapshots)
        guard let entry = lists[list] else { return [] }
        var deliveries: [Delivery] = []
        if Set(before.keys) != Set(entry.snapshots.keys) {
            let text = entry.text
            let removed = before.keys.filter { entry.snapshots[$0] == nil }
            deliveries += entry.buffers.values.map { .list(text, without: removed, $0) }
        }
        for (job, snapshot) in entry.snapshots where before[job]?.version != snapshot.version {
            deliveries += entry.buffers.values.map { .snapshot(snapshot, $0) }
        }
        return deliveries
    }
}

extension JobFilter {
    /// Whether a job matches the filter.
    func matches(_ snapshot: EncodedSnapshot) -> Bool {
        matches(snapshot.job, snapshot.description, in: snapshot.state)
    }

    /// Whether a job matches the filter.
    func matches(_ view: JobView) -> Bool { matches(view.id, view.description, in: view.snapshot.state) }
}
