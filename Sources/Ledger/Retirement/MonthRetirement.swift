/// The state of the retirement of a month: the place of the events of its jobs.
///
/// It determines the next step.
public struct MonthRetirement: Hashable, Sendable {
    /// The state of the table that contains the events.
    public enum Table: Hashable, Sendable {
        /// A partition of the event table. → `detaching`
        case attached
        /// A partition that is being removed. → `detached`
        ///
        /// New transactions no longer see its events.
        case detaching
        /// A table by itself. → `attached`, `absent`
        ///
        /// It becomes absent, by another name, if all jobs of the month are retired.
        case detached
        /// No table has the name.
        case absent
    }

    public var table: Table
    /// Whether another table contains retired events of the month.
    public var hasSetAside: Bool
    /// Whether a job of the month is not retired.
    public var hasOpenJobs: Bool

    public init(table: Table, hasSetAside: Bool, hasOpenJobs: Bool) {
        self.table = table
        self.hasSetAside = hasSetAside
        self.hasOpenJobs = hasOpenJobs
    }

    /// A step of the retirement of a month.
    ///
    /// Each one takes effect as a whole or not at all, or can be finished later.
    public enum Step: String, CaseIterable, Hashable, Sendable {
        /// Exports the jobs that are not retired, and verifies the file.
        case export
        /// Records the exported jobs as retired.
        case record
        /// Removes the partition from the event table without blocking it.
        case detach
        /// Finishes a removal that was interrupted.
        case finishDetaching
        /// Attaches the table again, because a job in it is not retired.
        case attach
        /// Renames the detached table, which contains only events of retired jobs.
        case setAside
        /// Deletes the renamed table.
        case drop
    }

    /// The next step; nil if the month is retired.
    ///
    /// `export` stands for both `export` and `record`.
    ///
    /// - Parameter drops: Whether to delete the renamed table.
    public func nextStep(drops: Bool) -> Step? {
        switch (table, hasOpenJobs) {
        case (.detaching, _): .finishDetaching
        case (.detached, true): .attach
        // The name of the other table is needed.
        case (.attached, _) where hasSetAside && drops, (.detached, false) where hasSetAside && drops: .drop
        case (.detached, false): .setAside
        case (.attached, true), (.absent, true): .export
        case (.attached, false): .detach
        case (.absent, false): hasSetAside && drops ? .drop : nil
        }
    }
}
