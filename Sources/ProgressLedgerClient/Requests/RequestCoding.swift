import Ledger

// The bodies of requests. What is nil is left out: absent and null mean the same.

extension JSONText {
    mutating func value(_ description: JobDescription) {
        object { json in
            json.member("name", description.name.text)
            json.member("key", description.key?.text)
            guard !description.tags.isEmpty else { return }
            json.key("tags")
            json.object { tags in
                for (name, value) in description.sortedTags { tags.member(name.text, value.text) }
            }
        }
    }

    mutating func value(_ reference: ExecutionReference) {
        object { $0.members(reference) }
    }

    mutating func value(_ draft: EventDraft, job: JobID? = nil) {
        object { json in
            json.member("job", job?.description)
            json.member("type", draft.body.type.name)
            if let reference = draft.body.reference { json.members(reference) }
            switch draft.body {
            case .progress(let progress):
                json.member("report", progress.report)
                json.member("label", progress.label?.text)
                json.member("total", progress.total)
                json.member("done", progress.done)
            case .executionFinished(_, let outcome): json.member("outcome", outcome.rawValue)
            case .jobFinished(let outcome): json.member("outcome", outcome.rawValue)
            case .executionStarted: break
            case .jobCreated: preconditionFailure("the ledger writes the first event of a job: create the job instead")
            }
            json.member("at", draft.at.map(RFC3339.text))
        }
    }

    private mutating func members(_ reference: ExecutionReference) {
        member("task", reference.task.text)
        member("execution", reference.execution?.text)
        member("attempt", reference.attempt)
    }
}
