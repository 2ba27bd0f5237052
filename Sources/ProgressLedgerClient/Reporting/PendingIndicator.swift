import Ledger

/// The unsent reports of an execution on one indicator, added up.
struct PendingIndicator: Sendable {
    let label: Name?
    private(set) var total: Int128 = 0
    private(set) var done: Int128 = 0
    /// The part of `done` that an earlier execution did.
    private(set) var carried: Int128 = 0
    /// Everything that this process has declared and reported as done, for positions.
    private(set) var declared: Int128 = 0
    private(set) var position: Int128 = 0
    /// The newest notes.
    private(set) var message: Name?
    private(set) var link: Name?
    /// The first unit that was given.
    private(set) var unit: Name?
    private var isUnitUnsent = false
    /// Whether something must be sent, even if only a heartbeat.
    var isPending = false

    init(label: Name?) {
        self.label = label
    }

    mutating func add(total: Int64, done: Int64) {
        self.total += Int128(total)
        self.done += Int128(done)
        declared += Int128(total)
        position += Int128(done)
    }

    /// Adds a detailed report, and returns whether there is anything to send for it.
    mutating func add(_ report: DetailedReport) -> Bool {
        var (total, done) = (Int128(report.total), Int128(report.done))
        if report.kind == .position {
            (total, done) = (max(0, total - declared), max(0, done - position))
            guard total > 0 || done > 0 || report.message != nil || report.link != nil else { return false }
        }
        // A difference to a position is at most as large as the position.
        add(total: Int64(total), done: Int64(done))
        if report.kind == .carried { carried += done }
        message = report.message ?? message
        link = report.link ?? link
        return true
    }

    /// Sets the unit, which is sent once. The first one holds.
    mutating func setUnit(_ unit: Name) {
        guard self.unit == nil else { return }
        self.unit = unit
        isUnitUnsent = true
    }

    /// Takes as much as one event can carry.
    mutating func takeEvent(
        of reference: ExecutionReference, part: Name?, report: Int64
    ) -> EventDraft {
        let largest = Int128(Limits.increments.upperBound)
        let (total, done, carried) = (min(total, largest), min(done, largest), min(carried, largest))
        self.total -= total
        self.done -= done
        self.carried -= carried
        isPending = self.total > 0 || self.done > 0
        defer {
            message = nil
            link = nil
            isUnitUnsent = false
        }
        return EventDraft(
            .progress(
                ProgressReport(
                    reference: reference, report: report, label: label, total: total == 0 ? nil : Int64(total),
                    done: done == 0 ? nil : Int64(done), carried: carried == 0 ? nil : Int64(carried),
                    unit: isUnitUnsent ? unit : nil, part: part)), message: message, link: link)
    }
}

/// A report that is more than two increments.
struct DetailedReport: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// `total` and `done` are increments.
        case increments
        /// They are increments, and an earlier execution did the units.
        case carried
        /// They are sums: the difference to earlier reports is sent.
        case position
    }

    var total: Int64 = 0
    var done: Int64 = 0
    var kind = Kind.increments
    var message: Name?
    var link: Name?
}
