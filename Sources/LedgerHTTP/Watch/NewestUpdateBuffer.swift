internal import Ledger
internal import NIOCore
internal import Synchronization

/// A buffer of one subscriber that holds only the newest updates.
///
/// The updates are the list of jobs, a snapshot of each job, and a heartbeat. A slow client misses the snapshots in
/// between, and needs no memory for them.
final class NewestUpdateBuffer: Sendable {
    /// The contents of a buffer.
    struct Contents: Sendable {
        /// The encoded list of jobs, if it has changed.
        var list: ByteBuffer?
        /// The snapshot of one job.
        ///
        /// A subscriber of one job needs nothing else, and so no dictionary.
        private(set) var first: EncodedSnapshot?
        /// The snapshots of further jobs.
        private var others: [JobID: EncodedSnapshot] = [:]
        /// Whether to send a comment that keeps the connection alive.
        var isHeartbeatDue = false

        var isEmpty: Bool { list == nil && first == nil && others.isEmpty && !isHeartbeatDue }

        /// The snapshots, one of each job, newest job first.
        var snapshots: [EncodedSnapshot] { ((first.map { [$0] } ?? []) + others.values).sorted { $0.job > $1.job } }

        /// Inserts or replaces the snapshot of a job.
        mutating func put(_ snapshot: EncodedSnapshot) {
            if first?.job == snapshot.job || first == nil && others.isEmpty {
                first = snapshot
            } else {
                others[snapshot.job] = snapshot
            }
        }

        /// Removes the snapshot of a job.
        mutating func remove(_ job: JobID) {
            if first?.job == job { first = nil } else if !others.isEmpty { others[job] = nil }
        }
    }

    /// The result of a read.
    enum Taken: Sendable {
        case contents(Contents)
        /// The buffer is empty so far.
        case nothing
        /// The stream has ended.
        case closed
    }

    private struct State {
        var contents = Contents()
        var isClosed = false
        /// Called at the next change.
        var waiter: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    func offer(_ snapshot: EncodedSnapshot) {
        change { $0.contents.put(snapshot) }
    }

    /// Offers an encoded list, and removes the snapshots of jobs that left it.
    func offer(_ list: ByteBuffer, without removed: some Sequence<JobID>) {
        change { state in
            state.contents.list = list
            for job in removed { state.contents.remove(job) }
        }
    }

    func offerHeartbeat() {
        change { $0.contents.isHeartbeatDue = true }
    }

    /// Ends the stream. The contents are discarded.
    func close() {
        change { $0.isClosed = true }
    }

    /// Takes the contents. A buffer has one reader.
    ///
    /// - Parameter waiter: Called once, on any thread, at the next change, if the buffer is empty now.
    func take(orCall waiter: @escaping @Sendable () -> Void) -> Taken {
        state.withLock { state in
            if state.isClosed { return .closed }
            guard !state.contents.isEmpty else {
                state.waiter = waiter
                return .nothing
            }
            defer { state.contents = Contents() }
            return .contents(state.contents)
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let waiter = state.withLock { state in
            body(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?()
    }
}
