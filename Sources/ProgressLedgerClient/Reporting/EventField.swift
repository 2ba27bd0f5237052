import Ledger
import Synchronization

/// The optional fields of events without which an event is still worth recording.
struct EventField: OptionSet, Hashable, Sendable {
    let rawValue: UInt8

    static let message = EventField(rawValue: 1)
    static let link = EventField(rawValue: 2)
    static let unit = EventField(rawValue: 4)
    static let part = EventField(rawValue: 8)
    static let carried = EventField(rawValue: 16)

    private static let all: [(name: String, field: EventField)] = [
        ("message", .message), ("link", .link), ("unit", .unit), ("part", .part), ("carried", .carried),
    ]

    /// The field with this name in JSON; nil for any other.
    static func named(_ name: some StringProtocol) -> EventField? { all.first { $0.name == name }?.field }

    /// The names, for the log.
    var names: String { Self.all.filter { contains($0.field) }.map(\.name).joined(separator: ", ") }

    /// The number of fields.
    var count: UInt64 { UInt64(rawValue.nonzeroBitCount) }
}

extension EventDraft {
    /// The optional fields that the event has.
    var optionalFields: EventField {
        var fields: EventField = []
        if message != nil { fields.insert(.message) }
        if link != nil { fields.insert(.link) }
        guard case .progress(let report) = body else { return fields }
        if report.unit != nil { fields.insert(.unit) }
        if report.part != nil { fields.insert(.part) }
        if report.carried != nil { fields.insert(.carried) }
        return fields
    }

    /// Returns the event without some of its optional fields.
    ///
    /// - Parameter number: Returns the number of a report without its part.
    func without(_ fields: EventField, number: () -> Int64) -> EventDraft {
        guard !optionalFields.isDisjoint(with: fields) else { return self }
        var body = body
        if case .progress(let report) = body {
            let losesPart = report.part != nil && fields.contains(.part)
            body = .progress(
                ProgressReport(
                    reference: report.reference, report: losesPart ? number() : report.report, label: report.label,
                    total: report.total, done: report.done, carried: fields.contains(.carried) ? nil : report.carried,
                    unit: fields.contains(.unit) ? nil : report.unit, part: losesPart ? nil : report.part))
        }
        return EventDraft(
            body, at: at, reporter: reporter, message: fields.contains(.message) ? nil : message,
            link: fields.contains(.link) ? nil : link)
    }
}

extension LedgerClientError {
    /// The optional fields that the ledger refuses, by the position of their event.
    func refusedFields(of events: [EventDraft]) -> [Int: EventField] {
        guard isProblem else { return [:] }
        var refused: [Int: EventField] = [:]
        for error in fieldErrors {
            let parts = (error.pointer ?? "").split(separator: "/", omittingEmptySubsequences: true)
            // A request with one event is that event, and not an array.
            let position = parts.first.flatMap { Int($0) } ?? 0
            guard let name = parts.last, parts.count == 2 || parts.count == 1 && events.count == 1,
                events.indices.contains(position), let field = EventField.named(name),
                events[position].optionalFields.contains(field)
            else { continue }
            refused[position, default: []].insert(field)
        }
        return refused
    }
}

/// The optional fields that a ledger knows, as its responses show.
///
/// All executions of a client share it. Older ledgers refuse the fields that they do not know.
final class FieldSupport: Sendable {
    private struct State {
        var known: EventField = []
        var unknown: EventField = []
    }

    private let state = Mutex(State())

    /// The fields that the ledger has recorded.
    var known: EventField { state.withLock { $0.known } }
    /// The fields without which events are sent.
    var unknown: EventField { state.withLock { $0.unknown } }

    func record(_ fields: EventField) {
        guard !fields.isEmpty else { return }
        state.withLock { $0.known.formUnion(fields) }
    }

    func exclude(_ fields: EventField) {
        guard !fields.isEmpty else { return }
        state.withLock { $0.unknown.formUnion(fields) }
    }
}
