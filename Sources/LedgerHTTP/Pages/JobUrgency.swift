internal import Ledger
internal import LedgerWire

/// How urgently a job needs a person: the lowest value first.
enum JobUrgency: Int, CaseIterable, Comparable, Sendable {
    /// It will probably miss its deadline.
    case late
    /// It does not advance although it should.
    case stalled
    /// Tasks have failed, and it is running.
    case failing
    /// Executions have not been heard from for longer than is plausible.
    case silent
    /// It is running, and nothing is known to be wrong.
    case running
    /// It has ended as failed.
    case failed
    /// It has ended otherwise.
    case ended

    init(_ view: JobView, now: Timestamp) {
        let snapshot = view.snapshot
        guard snapshot.state == .running else {
            self = snapshot.state == .failed ? .failed : .ended
            return
        }
        if let deadline = view.description.deadline, Lateness(view, deadline: deadline, usual: nil, now: now) != nil {
            self = .late
        } else if view.stalls?.since != nil {
            self = .stalled
        } else if snapshot.tasks.failed > 0 {
            self = .failing
        } else {
            self = view.stalls?.silentCount ?? 0 > 0 ? .silent : .running
        }
    }

    static func < (left: JobUrgency, right: JobUrgency) -> Bool { left.rawValue < right.rawValue }

    /// The word for a class of the style sheet.
    var name: String { "\(self)" }
}
