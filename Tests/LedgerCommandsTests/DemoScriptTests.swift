import Ledger
import Testing

@testable import LedgerCommands

@Suite("The demonstration's script")
struct DemoScriptTests {
    /// The events that the steps append, as the server would record them.
    private var drafts: [EventDraft] {
        DemoScript.steps.flatMap { step -> [EventBody] in
            switch step.action {
            case .start(let worker), .startLate(let worker): [.executionStarted(reference(worker))]
            case .declare(let worker, let units):
                units.enumerated().map { index, units in
                    .progress(
                        ProgressReport(
                            reference: reference(worker), report: Int64(index + 1), label: Name(units.label),
                            total: units.total))
                }
            case .done(let worker, let label, let report):
                [.progress(ProgressReport(reference: reference(worker), report: report, label: Name(label), done: 1))]
            case .finish(let worker, let succeeded):
                [.executionFinished(reference(worker), succeeded ? .succeeded : .failed)]
            case .finishJob: [.jobFinished(.completed)]
            }
        }.map { EventDraft($0) }
    }

    private func reference(_ worker: DemoScript.Worker) -> ExecutionReference {
        ExecutionReference(task: Name(worker.task), execution: Name(worker.execution), attempt: worker.attempt)
    }

    @Test("nine tasks do one unit each, despite repeated, late and zombie reports")
    func tasksAreComplete() {
        let drafts = drafts
        #expect(drafts.allSatisfy { $0.fieldErrors().isEmpty })
        let tasks = Set(drafts.compactMap(\.body.reference?.task))
        #expect(tasks.count == 10)
        let done = drafts.reduce(Int64(0)) { sum, draft in
            if case .progress(let progress) = draft.body { sum + (progress.done ?? 0) } else { sum }
        }
        #expect(done == 9 + 4, "nine that count, and four that must not")
        #expect(DemoScript.steps.contains { if case .startLate = $0.action { true } else { false } })
    }

    @Test("the final numbers are the declared ones, in the same order")
    func outcomeIsDeclared() {
        let declared = DemoScript.steps.compactMap { step -> [DemoScript.Units]? in
            if case .declare(_, let units) = step.action { units } else { nil }
        }
        #expect(declared.count == 1)
        #expect(declared[0].map(\.label) == ["finalize", "step1", "step2"])
        #expect(declared[0].map(\.total) == DemoScript.outcome.map(\.total))
    }
}
