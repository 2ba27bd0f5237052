internal import Ledger
internal import LedgerStore
internal import NIOCore

/// Who watches what, what is to be read for them, and who is to get what was read. Decides and does nothing.
struct SubscriptionTable {
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
        case encoded(EncodedSnapshot, ConflatingBuffer)
        case list(ByteBuffer, without: [JobID], ConflatingBuffer)
    }

    /// What is to be read.
    struct Reading: Sendable {
        var jobs: [JobID] = []
        var lists: [List] = []
    }

    private struct JobEntry {
        var latest: EncodedSnapshot
        var buffers: [Int: ConflatingBuffer] = [:]
    }

    private struct ListEntry {
        let list: List
        var encodedSnapshots: [JobID: EncodedSnapshot] = [:]
        var buffers: [Int: ConflatingBuffer] = [:]
        /// The oldest job of a full list: none that is older comes in.
        var oldest: JobID?

        func mayContain(_ job: JobID) -> Bool {
            if let cursor = list.cursor, job >= cursor { return false }
            return oldest.map { job >= $0 } ?? true
        }

        /// Takes a newer snapshot of a job that it holds and goes on holding; nil where which jobs it holds may change.
        ///
        /// Costs a lookup, however long the list is: most snapshots are of this kind.
        mutating func update(_ encoded: EncodedSnapshot) -> [Delivery]? {
            let isListed = encodedSnapshots[encoded.job] != nil
            guard mayContain(encoded.job), isListed || list.filter.matches(encoded) else { return [] }
            guard isListed, list.filter.matches(encoded) else { return nil }
            guard let known = encodedSnapshots[encoded.job], encoded.supersedes(after: known) else { return [] }
            encodedSnapshots[encoded.job] = encoded
            return buffers.values.map { .encoded(encoded, $0) }
        }

        /// Puts these in place of what it held.
        mutating func replace(_ encodedSnapshots: [JobID: EncodedSnapshot]) {
            let newest = encodedSnapshots.keys.sorted(by: >).prefix(list.limit)
            self.encodedSnapshots = encodedSnapshots.filter { $0.key >= newest.last ?? $0.key }
            oldest = newest.count == list.limit ? newest.last : nil
        }

        var text: ByteBuffer { EncodedSnapshot.list(encodedSnapshots.keys.sorted(by: >)) }
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

    /// Everybody's buffer.
    var buffers: [ConflatingBuffer] {
        jobs.values.flatMap { $0.buffers.values } + lists.values.flatMap { $0.buffers.values }
    }

    // MARK: Coming and going

    /// Whether what this shows is known, so that it need not be read for who joins.
    ///
    /// - Parameter known: What who joins has already, maybe from another server: what is older is of no use to him.
    func isKnown(_ subject: Subject, from known: StreamPosition?) -> Bool {
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
    ///   - encodedSnapshots: What the subject shows; empty where that is known. Where nobody had watched it, it is read again, because
    ///     nobody was told of what has changed since.
    ///   - buffer: Gets what it shows now.
    /// - Returns: The watcher's number, to remove with, and what it is to be sent at once.
    mutating func add(
        _ subject: Subject, reading encodedSnapshots: [EncodedSnapshot], _ buffer: ConflatingBuffer
    ) -> (number: Int, deliveries: [Delivery]) {
        nextNumber += 1
        count += 1
        switch subject {
        case .job(let job):
            var deliveries: [Delivery] = []
            if jobs[job] != nil, let encoded = encodedSnapshots.first {
                deliveries = publish(encoded)
            } else if let encoded = encodedSnapshots.first {
                jobs[job] = JobEntry(latest: encoded)
                dueJobs.insert(job)
            }
            jobs[job]?.buffers[nextNumber] = buffer
            return (nextNumber, deliveries + (jobs[job].map { [.encoded($0.latest.stampedNow(), buffer)] } ?? []))
        case .list(let list):
            if lists[list] == nil {
                var entry = ListEntry(list: list)
                entry.replace(Dictionary(uniqueKeysWithValues: encodedSnapshots.map { ($0.job, $0) }))
                lists[list] = entry
                dueLists.insert(list)
            }
            lists[list]?.buffers[nextNumber] = buffer
            guard let entry = lists[list] else { return (nextNumber, []) }
            return (
                nextNumber,
                [.list(entry.text, without: [], buffer)]
                    + entry.encodedSnapshots.values.map { .encoded($0.stampedNow(), buffer) }
            )
        }
    }

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

    // MARK: What is due

    /// Notes that a snapshot has moved. Costs a look at every list that is watched.
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
    mutating func publish(_ encoded: EncodedSnapshot) -> [Delivery] {
        var deliveries: [Delivery] = []
        if let entry = jobs[encoded.job], encoded.supersedes(after: entry.latest) {
            jobs[encoded.job]?.latest = encoded
            deliveries += entry.buffers.values.map { .encoded(encoded, $0) }
        }
        for list in Array(lists.keys) {
            if let updates = lists[list]?.update(encoded) {
                deliveries += updates
                continue
            }
            guard let entry = lists[list] else { continue }
            var encodedSnapshots = entry.encodedSnapshots
            if list.filter.matches(encoded) {
                if encodedSnapshots[encoded.job].map({ encoded.supersedes(after: $0) }) ?? true {
                    encodedSnapshots[encoded.job] = encoded
                }
            } else if encodedSnapshots.removeValue(forKey: encoded.job) != nil, entry.oldest != nil {
                // There is room now for one that is older, which only the ledger knows.
                dueLists.insert(list)
            }
            deliveries += show(encodedSnapshots, in: list)
        }
        return deliveries
    }

    /// Takes note of what a list holds; returns who is to get what.
    mutating func publish(_ encodedSnapshots: [EncodedSnapshot], in list: List) -> [Delivery] {
        show(Dictionary(uniqueKeysWithValues: encodedSnapshots.map { ($0.job, $0) }), in: list)
    }

    private mutating func show(_ encodedSnapshots: [JobID: EncodedSnapshot], in list: List) -> [Delivery] {
        guard let before = lists[list]?.encodedSnapshots else { return [] }
        lists[list]?.replace(encodedSnapshots)
        guard let entry = lists[list] else { return [] }
        var deliveries: [Delivery] = []
        if Set(before.keys) != Set(entry.encodedSnapshots.keys) {
            let text = entry.text
            let left = before.keys.filter { entry.encodedSnapshots[$0] == nil }
            deliveries += entry.buffers.values.map { .list(text, without: left, $0) }
        }
        for (job, encoded) in entry.encodedSnapshots where before[job]?.version != encoded.version {
            deliveries += entry.buffers.values.map { .encoded(encoded, $0) }
        }
        return deliveries
    }
}

extension JobFilter {
    /// Whether a job belongs to a list. The ledger decides the same by a query.
    func matches(_ encoded: EncodedSnapshot) -> Bool {
        (state.map { $0 == encoded.state } ?? true) && (name.map { $0 == encoded.description.name } ?? true)
            && (key.map { $0 == encoded.description.key } ?? true)
            && (search.map { $0.isFound(in: encoded.description) } ?? true)
            && tags.allSatisfy { encoded.description.tags[$0.key] == $0.value }
    }
}

extension Name {
    fileprivate func isFound(in description: JobDescription) -> Bool {
        description.name.contains(self) || description.key == self
    }
}
