internal import Ledger
internal import PQ

/// The optional fields of events as columns of parameters.
///
/// Most groups of events have none of them. Such a group is inserted without these columns, and so at no cost.
struct NoteColumns {
    private var messages = ParameterColumn(.text)
    private var links = ParameterColumn(.text)
    private var units = ParameterColumn(.text)
    private var parts = ParameterColumn(.text)
    private var carried = ParameterColumn(.int8)

    /// Creates the columns. The first `count` events have none of the fields.
    init(skipping count: Int) {
        for _ in 0..<count { append(nil, nil, nil) }
    }

    mutating func append(_ event: Event) {
        let progress: ProgressReport? = if case .progress(let progress) = event.body { progress } else { nil }
        append(event.message, event.link, progress)
    }

    private mutating func append(_ message: Name?, _ link: Name?, _ progress: ProgressReport?) {
        messages.append(text: message?.text)
        links.append(text: link?.text)
        units.append(text: progress?.unit?.text)
        parts.append(text: progress?.part?.text)
        carried.append(int8: progress?.carried)
    }

    /// The columns of the event table, in the order of ``all``.
    static let names = ["message", "link", "unit", "part", "carried"]
    static let types = ["text", "text", "text", "text", "bigint"]

    var all: [ParameterColumn] { [messages, links, units, parts, carried] }
}

extension Event {
    /// Whether it has any of the fields in ``NoteColumns``.
    var hasNotes: Bool {
        if message != nil || link != nil { return true }
        guard case .progress(let progress) = body else { return false }
        return progress.unit != nil || progress.part != nil || progress.carried != nil
    }
}
