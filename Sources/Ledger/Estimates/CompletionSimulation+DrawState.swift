extension CompletionSimulation {
    /// The state of one draw.
    ///
    /// The next draw uses its arrays again, because allocating them would take much of the time.
    struct DrawState {
        var random = RandomSequence(seed: 0)
        /// The logarithm of this draw's factor of each class.
        ///
        /// The draw multiplies the drawable seconds of the class by the factor.
        var logFactors: [Double] = []
        /// The exponentials of ``logFactors``.
        var factors: [Double] = []
        /// The waiting executions of each class.
        var waiting: [Double] = []
        /// Whether executions of each class may be running.
        var hasBegun: [Bool] = []
        /// The class of each running execution; nil for none.
        var chosenClasses: [Int?] = []
        /// The factor of each class that makes a weight of a plausibility.
        ///
        /// It is zero if none of its executions is waiting.
        var availabilities: [Double] = []
        /// The weights of the classes for one execution.
        ///
        /// Each is the product of a plausibility and an availability.
        var weights: [Double] = []
        /// The age of the oldest execution for which each class was chosen.
        ///
        /// 0 for none, and for a class with samples.
        var oldest: [Double] = []
        /// The seconds after which each running execution ends.
        ///
        /// After them, those after which each idle worker begins.
        var ends: [Double] = []
        /// The executions that have not begun, and those that are repeated.
        var queue: [QueuedExecution] = []
        var workerHeap = EndTimeHeap()
    }

    /// An execution that has not begun.
    struct QueuedExecution {
        let seconds: Double
        let classIndex: Int
    }

    /// A running execution without references.
    ///
    /// Draws copy it thousands of times.
    struct RunningInput {
        let age: Double
        let logarithmOfAge: Double
        let classIndex: Int?
        /// Whether each draw chooses its class.
        let isUnknown: Bool
        let kind: Kind

        /// The knowledge about its rest, as ``RunningWork/Kind``.
        enum Kind {
            case reporting(ReportedRest)
            case usualDuration(logarithm: Double)
            case silent
        }

        init(_ work: RunningWork) {
            age = work.age
            logarithmOfAge = work.logarithmOfAge
            classIndex = work.classIndex
            isUnknown = work.isUnknown
            kind =
                switch work.kind {
                case .reporting(let reporting): .reporting(ReportedRest(reporting))
                case .usualDuration(let logarithm): .usualDuration(logarithm: logarithm)
                case .silent: .silent
                }
        }
    }
}
