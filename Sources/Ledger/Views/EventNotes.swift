/// The texts of an event that the fold does not keep for each execution.
public struct EventNotes: Hashable, Sendable {
    /// The caller that appended the event.
    public var reporter: Name?
    public var message: Name?
    public var link: Name?

    public init(reporter: Name? = nil, message: Name? = nil, link: Name? = nil) {
        self.reporter = reporter
        self.message = message
        self.link = link
    }

    /// Creates the notes of an event.
    public init(_ event: Event) {
        self.init(reporter: event.reporter, message: event.message, link: event.link)
    }
}

extension Execution {
    /// The events that contain its reporter, message and link; without repetition.
    public var notedEvents: [EventSequence] {
        Array(Set([id.sequence, messageSequence, linkSequence].compactMap { $0 }))
    }
}

extension ExecutionSummary {
    /// The events that contain its reporter, message and link; without repetition.
    public var notedEvents: [EventSequence] {
        Array(Set([id.sequence, messageSequence, linkSequence].compactMap { $0 }))
    }

    /// Sets its reporter, message and link.
    ///
    /// - Parameter notes: Those of ``notedEvents``, by their sequences.
    public mutating func setNotes(_ notes: [EventSequence: EventNotes]) {
        reporter = notes[id.sequence]?.reporter
        message = messageSequence.flatMap { notes[$0]?.message }
        link = linkSequence.flatMap { notes[$0]?.link }
    }
}
