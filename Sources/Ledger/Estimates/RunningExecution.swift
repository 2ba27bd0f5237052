/// The work of an execution that is running, as far as estimates need it.
public struct RunningExecution: Hashable, Sendable {
    public let id: ExecutionID
    let task: TaskID
    /// The half of the key of its task's name, which identifies the task in other jobs.
    let taskKey: UInt32
    let startedAt: Timestamp
    /// Whether it began with `execution_started`.
    let isAnnounced: Bool
    /// Whether it began before it had done a unit.
    ///
    /// Then the duration of its first report is known.
    let beginsBeforeFirstUnit: Bool
    /// The time of its last event.
    var lastEventAt: Timestamp
    /// The longest time in microseconds between two of its events.
    var longestQuiet: Int64 = 0
    /// The number of its reports of units done and of its heartbeats.
    var reports: Int64 = 0
    /// The time of its last report of units done.
    var lastAdvance: Timestamp?
    /// The number of its reports of units done.
    var advances: Int64 = 0
    /// The units of its first report.
    var firstUnits: Int64 = 0
    /// Its units and time by label, in the order of the first report.
    var parts: [Part] = []

    /// The work of the execution on one label.
    struct Part: Hashable, Sendable {
        /// The indicator of the label.
        let indicator: IndicatorID
        var total: Int64 = 0
        var done: Int64 = 0
        /// The time attributed to the label.
        var microseconds: Int64 = 0
    }

    init(
        _ id: ExecutionID, of task: TaskID, taskKey: UInt32, startedAt: Timestamp, isAnnounced: Bool,
        beginsBeforeFirstUnit: Bool
    ) {
        self.id = id
        self.task = task
        self.taskKey = taskKey
        self.startedAt = startedAt
        lastEventAt = startedAt
        self.isAnnounced = isAnnounced
        self.beginsBeforeFirstUnit = beginsBeforeFirstUnit
    }

    /// Whether it has declared units and done none.
    ///
    /// Such an execution plans work for others, unless executions of this job do the units that they declare.
    var isOnlyDeclaring: Bool { advances == 0 && parts.contains { $0.total > 0 } }

    /// The part that shows on which label it works; nil if it has not shown it.
    ///
    /// The last one with units done, else the first one with declared units.
    var shownPart: Part? { parts.last { $0.done > 0 } ?? parts.first { $0.total > 0 } }

    /// Whether it was not announced, and has done all that it has declared.
    ///
    /// If executions of its job do not end, it will probably report nothing more.
    var hasDoneAll: Bool { !isAnnounced && advances > 0 && parts.allSatisfy { $0.done >= $0.total } }

    /// The effects of a report on the job as a whole.
    struct Change {
        /// Whether it has done units of a label for which it has declared units, too.
        var hasDoneDeclared = false
        /// The change of ``isOnlyDeclaring``: 1, −1 or 0.
        var onlyDeclaring: Int64 = 0
    }

    /// Adds a report with units.
    ///
    /// - Parameters:
    ///   - done: The units that this execution did itself.
    ///   - carried: The units that an earlier one did. They are not left to do.
    @discardableResult
    mutating func add(
        total: Int64, done: Int64, carried: Int64 = 0, on indicator: IndicatorID, at moment: Timestamp
    ) -> Change {
        let wasOnlyDeclaring = isOnlyDeclaring
        let part = part(of: indicator)
        // Below 0 if the carried units are reported before the total.
        parts[part].total = parts[part].total.adding(total).adding(-carried)
        var change = Change()
        if done > 0 {
            attributeTime(until: moment, to: part)
            parts[part].done = parts[part].done.adding(done)
            if advances == 0 { firstUnits = done }
            advances += 1
            lastAdvance = moment
            change.hasDoneDeclared = parts.contains { $0.total > 0 && $0.done > 0 }
        }
        if isOnlyDeclaring != wasOnlyDeclaring { change.onlyDeclaring = isOnlyDeclaring ? 1 : -1 }
        return change
    }

    /// The index of the part of a label, which is added if there is none.
    ///
    /// There are at most ``Limits/labelsPerExecutionMax``, because the fold discards further ones.
    private mutating func part(of indicator: IndicatorID) -> Int {
        if let index = parts.lastIndex(where: { $0.indicator == indicator }) { return index }
        parts.append(Part(indicator: indicator))
        return parts.count - 1
    }

    /// Records an event.
    ///
    /// - Parameter isReport: Whether it is part of a pattern that will continue.
    mutating func recordEvent(at moment: Timestamp, isReport: Bool) {
        longestQuiet = max(longestQuiet, moment.microseconds - lastEventAt.microseconds)
        lastEventAt = moment
        if isReport { reports += 1 }
    }

    /// Adds the time since the last report, or since the start, to a part.
    mutating func attributeTime(until moment: Timestamp, to part: Int) {
        let elapsed = Swift.max(0, moment.microseconds - (lastAdvance ?? startedAt).microseconds)
        parts[part].microseconds = parts[part].microseconds.adding(elapsed)
    }
}
