import Ledger

extension [EventDraft] {
    /// Whether appending them twice is the same as appending them once.
    ///
    /// Progress must bear a report number, so that the second is a duplicate, and every execution a name or an attempt,
    /// so that the second belongs to the same. The end of a job must be the last of them: when the whole is sent
    /// again, a start after it would be a late one, and would not open the job again as it did the first time.
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

extension ExecutionReference {
    fileprivate var isNamed: Bool { execution != nil || attempt != nil }
}
