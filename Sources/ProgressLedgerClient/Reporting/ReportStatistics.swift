/// The counters of one execution's reports.
///
/// ``dropped`` is the number to watch: 0 means that nothing was lost. The clients for Python and Go count the same.
public struct ReportStatistics: Hashable, Sendable {
    /// The accepted calls of `add` and `done`.
    public var taken: UInt64 = 0
    /// The refused calls, which changed nothing.
    ///
    /// A call is refused if its values are invalid or the execution has ended. They are also part of ``dropped``.
    public var refused: UInt64 = 0
    /// The events that the ledger has recorded, without discarded ones.
    ///
    /// The start and the end of the execution are included. They are fewer than the accepted calls, because increments
    /// are added up.
    public var delivered: UInt64 = 0
    /// The events that the ledger has recorded and discarded: they will never count.
    ///
    /// They are also part of ``dropped``. The usual reason is another process that uses the same execution name.
    public var discarded: UInt64 = 0
    /// Everything lost: refused calls, discarded events, invalid notes.
    ///
    /// An event is given up if the ledger refused it, or was unreachable for too long after the end of the execution.
    public var dropped: UInt64 = 0
    /// The events that the ledger has not recorded yet.
    public var pending: UInt64 = 0
    /// The failed requests.
    public var failures: UInt64 = 0
    /// The reason of the last failure; nil after a success.
    public var lastError: String?
    /// Whether a newer execution of the task has started.
    public var isSuperseded = false
    /// The state in which the job has ended; nil while it is running.
    public var jobEnded: JobState?

    /// The notes that were lost, while their units count; part of ``dropped``.
    var droppedNotes: UInt64 = 0

    /// The lost events that the ledger has not recorded.
    var undelivered: UInt64 { dropped &- refused &- discarded &- droppedNotes }
}
