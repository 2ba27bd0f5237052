import Ledger
import LedgerWire

// The bodies of requests. A field that is nil is left out, because absent and null mean the same.

extension EventDraft {
    func writeRequest(to writer: inout JSONWriter, job: JobID? = nil) {
        writer.object { writer in
            if let job { writer.field("job", job.description) }
            writer.field("type", body.type.name)
            body.reference?.writeFields(to: &writer)
            switch body {
            case .progress(let progress):
                if let report = progress.report { writer.field("report", report) }
                if let label = progress.label { writer.field("label", label.text) }
                if let total = progress.total { writer.field("total", total) }
                if let done = progress.done { writer.field("done", done) }
                if let carried = progress.carried { writer.field("carried", carried) }
                if let unit = progress.unit { writer.field("unit", unit.text) }
                if let part = progress.part { writer.field("part", part.text) }
            case .executionFinished(_, let outcome): writer.field("outcome", outcome.rawValue)
            case .jobFinished(let outcome): writer.field("outcome", outcome.rawValue)
            case .executionStarted: break
            case .jobCreated: preconditionFailure("the ledger writes the first event of a job: create the job instead")
            }
            if let message { writer.field("message", message.text) }
            if let link { writer.field("link", link.text) }
            if let at { writer.field("at", RFC3339.text(at)) }
        }
    }
}

extension ExecutionReference {
    func writeRequest(to writer: inout JSONWriter, link: Name?, unlessCanceled: Bool) {
        writer.object { writer in
            writeFields(to: &writer)
            if let link { writer.field("link", link.text) }
            if unlessCanceled { writer.field("unless_canceled", true) }
        }
    }

    fileprivate func writeFields(to writer: inout JSONWriter) {
        writer.field("task", task.text)
        if let execution { writer.field("execution", execution.text) }
        if let attempt { writer.field("attempt", attempt) }
    }
}
