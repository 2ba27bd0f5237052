internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// A reader of the query parameters that select a moment in a job's history.
struct PointInTimeQuery: Sendable {
    let service: any LedgerService
    let job: JobID

    /// The moment in `at_sequence` or `at`; nil for the present.
    func moment(_ parameters: QueryParameters) async throws -> PointInTime? {
        if let text = parameters["at"] {
            guard parameters["at_sequence"] == nil else {
                throw HTTPProblem.invalid(parameter: "at", "cannot be given together with at_sequence")
            }
            guard let time = RFC3339.timestamp(text) else {
                throw HTTPProblem.invalid(parameter: "at", Route.Parameter.Kind.momentProblem(of: text))
            }
            return .time(time)
        }
        guard let sequence = try parameters.sequence("at_sequence") else { return nil }
        return .sequence(try await validated(sequence, "at_sequence"))
    }

    /// The moment in a parameter that accepts a sequence or a time; nil if absent.
    func sequenceOrTime(_ name: String, _ parameters: QueryParameters) async throws -> PointInTime? {
        guard let text = parameters[name] else { return nil }
        if let time = RFC3339.timestamp(text) { return .time(time) }
        guard let sequence = EventSequence(text) else {
            throw HTTPProblem.invalid(
                parameter: name,
                "must be a sequence from 0 to \(Int64.max), or it \(Route.Parameter.Kind.momentProblem(of: text))")
        }
        return .sequence(try await validated(sequence, name))
    }

    private func validated(_ sequence: EventSequence, _ name: String) async throws -> EventSequence {
        guard let stamp = try await service.stamp(of: job) else { throw HTTPProblem.noSuchJob(job.description) }
        guard sequence <= stamp.ledgerSequence else {
            throw HTTPProblem.invalid(parameter: name, "is beyond the job's last event, \(stamp.ledgerSequence)")
        }
        return sequence
    }
}

extension Route.Parameter {
    /// `at_sequence` and `at`.
    static let moments = [
        Route.Parameter(
            name: "at_sequence", type: .integer(0...Int64.max),
            description: "The state as of this event; 0 is before the first event"),
        Route.Parameter(
            name: "at", type: .string, description: "The state as of the last event recorded at or before this time"),
    ]

    static let policy = Route.Parameter(
        name: "policy", type: .choice(CountingPolicy.allCases.map(\.rawValue)),
        description:
            "The executions that count: the last of each task (last), the highest that succeeded (last_successful), or all (all)"
    )
}
