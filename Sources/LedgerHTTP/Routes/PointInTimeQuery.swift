internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// Reads from a query which moment of a job's history is asked for.
struct PointInTimeQuery: Sendable {
    let service: any LedgerService
    let job: JobID

    /// What `at_sequence` or `at` says; nil for the present.
    func moment(_ parameters: QueryParameters) async throws -> PointInTime? {
        if let text = parameters["at"] {
            guard parameters["at_sequence"] == nil else {
                throw HTTPProblem.invalid(parameter: "at", "cannot be given together with at_sequence")
            }
            guard let time = RFC3339.timestamp(text) else {
                throw HTTPProblem.invalid(parameter: "at", "must be \(Self.timeForm)\(Self.hint(text))")
            }
            return .time(time)
        }
        guard let sequence = try parameters.integer("at_sequence", in: 0...Int64.max) else { return nil }
        return .sequence(try await known(sequence, "at_sequence"))
    }

    /// What a parameter says that takes a sequence as well as a time; nil where it is not given.
    func sequenceOrTime(_ name: String, _ parameters: QueryParameters) async throws -> PointInTime? {
        guard let text = parameters[name] else { return nil }
        if let time = RFC3339.timestamp(text) { return .time(time) }
        guard let sequence = Int64(text), sequence >= 0 else {
            throw HTTPProblem.invalid(
                parameter: name, "must be a sequence from 0 to \(Int64.max), or \(Self.timeForm)\(Self.hint(text))")
        }
        return .sequence(try await known(sequence, name))
    }

    private static let timeForm = "a time as RFC 3339 has it, such as 2026-11-23T17:30:00.000000Z"

    /// How to write an offset whose plus sign has become a space, as it does in a query; empty where that is not it.
    private static func hint(_ text: String) -> String {
        guard let space = text.lastIndex(of: " ") else { return "" }
        let meant = text[..<space] + "+" + text[text.index(after: space)...]
        return RFC3339.timestamp(String(meant)) == nil ? "" : "; write the + of its offset as %2B"
    }

    private func known(_ sequence: Int64, _ name: String) async throws -> Int64 {
        guard let view = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        guard sequence <= view.ledgerSequence else {
            throw HTTPProblem.invalid(parameter: name, "is beyond the job's last event, \(view.ledgerSequence)")
        }
        return sequence
    }
}

extension Route.Parameter {
    /// `at_sequence` and `at`.
    static let moments = [
        Route.Parameter(
            name: "at_sequence", type: .integer(0...Int64.max),
            description: "As it was after this event; 0 is before the first"),
        Route.Parameter(
            name: "at", type: .string, description: "As it was after the last event recorded at this time or before"),
    ]

    static let policy = Route.Parameter(
        name: "policy", type: .choice(CountingPolicy.allCases.map(\.rawValue)),
        description:
            "Which executions count: the last of each task (last), the highest that succeeded (last_successful), or every one (all)"
    )
}
