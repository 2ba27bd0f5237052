/// A running execution, as the simulation sees it.
struct RunningWork {
    let execution: ExecutionID
    /// The seconds since its start.
    let age: Double
    /// The logarithm of the age.
    let logarithmOfAge: Double
    /// Its class; nil if it has not shown on which label it works.
    var classIndex: Int?
    /// The label that it works on; nil if it has not shown it.
    var label: Name?
    var kind: Kind

    /// Whether nothing shows its class, so that each draw chooses one.
    var isUnknown: Bool { if case .silent = kind { classIndex == nil } else { false } }

    /// The knowledge about the rest of an execution.
    enum Kind {
        /// It has reported units done.
        case reporting(Reporting)
        /// Its task has a usual duration in history.
        case usualDuration(logarithm: Double)
        /// It has reported nothing: its age is all there is.
        case silent
    }

    /// The rest of an execution that reports.
    struct Reporting {
        /// The units left.
        var left = 0.0
        /// Seconds per unit.
        var pace = 0.0
        /// The seconds since its last report.
        var gap = 0.0
        /// The number of its reports of units done.
        var advances = 1.0
        /// The mean units per report.
        var unitsPerReport = 1.0
        /// The standard deviation of the rest's logarithm beyond that of the reports.
        ///
        /// The execution has not begun on some labels, or its pace is not the usual one.
        var doubt = 0.0
    }
}

/// The work of one execution on one label.
///
/// Running executions show it, before the first one has ended.
struct TypicalPart {
    /// The mean seconds, those to come included.
    let seconds: Double
    /// The mean seconds per unit.
    let secondsPerUnit: Double
    /// The number of executions that report.
    let executions: Double
}
