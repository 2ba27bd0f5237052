import Ledger

extension Array where Element == EventDraft {
    /// Whether appending these events twice has the same effect as once.
    ///
    /// Every progress event must have a report number, which makes its repetition a duplicate. Every execution must
    /// have a name or an attempt, so that a repeated event belongs to the same execution. The end of the job must be
    /// the last event: in a repetition a start after it would be a late start, which does not reopen the job, although
    /// it did so the first time.
    var areSafeToRepeat: Bool {
        for (index, draft) in enumerated() {
            switch draft.body {
            case .progress(let progress):
                guard progress.report != nil, progress.reference.isNamed else { return false }
            case .executionStarted(let reference), .executionFinished(let reference, _):
                guard reference.isNamed else { return false }
            case .jobFinished:
                guard index == count - 1 else { return false }
            case .jobCreated:
                return false
            }
        }
        return true
    }
}

extension Array where Element == EventDraft {
    /// Whether one of these events starts an execution.
    var startExecution: Bool {
        contains { if case .executionStarted = $0.body { true } else { false } }
    }
}

extension ExecutionReference {
    fileprivate var isNamed: Bool { execution != nil || attempt != nil }
}
