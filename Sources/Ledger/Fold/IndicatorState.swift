/// The fold's state of one indicator: received units and their disposition.
public struct IndicatorState: Hashable, Sendable {
    /// The sequence of the first event that named it, with any verdict.
    ///
    /// It identifies the indicator in its job and orders the job's indicators.
    public let sequence: Int64
    /// Its label; nil is the default indicator.
    public let label: Name?
    /// The units of all events that name it.
    public var received: Units
    /// The units of events that count.
    public var counted: Units
    /// The units of events with a superseded execution.
    public var superseded: Units
    /// The units of discarded events.
    public var discarded: Units
    /// The number of events that count.
    public var countedEvents: Int64
    /// The number of events with a superseded execution.
    public var supersededEvents: Int64
    /// The time when its counted units last changed or were confirmed.
    ///
    /// A counted event named it, or an execution that counted on it was superseded.
    public var updatedAt: Timestamp

    public init(
        sequence: Int64, label: Name?, received: Units = .zero, counted: Units = .zero, superseded: Units = .zero,
        discarded: Units = .zero, countedEvents: Int64 = 0, supersededEvents: Int64 = 0, updatedAt: Timestamp
    ) {
        self.sequence = sequence
        self.label = label
        self.received = received
        self.counted = counted
        self.superseded = superseded
        self.discarded = discarded
        self.countedEvents = countedEvents
        self.supersededEvents = supersededEvents
        self.updatedAt = updatedAt
    }

    /// The attempted units: counted and superseded, but not discarded.
    public var attempted: Units { counted + superseded }

    /// Whether received = counted + superseded + discarded.
    public var isConserved: Bool { received == counted + superseded + discarded }

    /// The indicator in a snapshot; nil while no counted event names it.
    public var shown: Snapshot.Indicator? {
        guard countedEvents > 0 else { return nil }
        return Snapshot.Indicator(label: label, counted: counted, attempted: attempted, updatedAt: updatedAt)
    }
}
