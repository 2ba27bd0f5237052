/// An indicator of a job, as the fold knows it: what was received on it and where each unit went.
public struct IndicatorState: Hashable, Sendable {
    /// The sequence of the first event that named it, whatever its verdict: its place among the job's others.
    public let sequence: Int64
    /// Its label; nil is the default indicator.
    public let label: Name?
    /// Units of all events that name it.
    public var received: Units
    /// Units of events that count.
    public var counted: Units
    /// Units of events whose execution is superseded.
    public var superseded: Units
    /// Units of discarded events.
    public var discarded: Units
    /// How many events count.
    public var countedEvents: Int64
    /// How many events have a superseded execution.
    public var supersededEvents: Int64
    /// When a counted event last named it, or an execution that counted on it was last superseded.
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

    /// What was attempted: counted and superseded, not discarded.
    public var attempted: Units { counted + superseded }

    /// Whether every unit received is accounted for: received = counted + superseded + discarded.
    public var isConserved: Bool { received == counted + superseded + discarded }

    /// What a snapshot shows of it; nil while no counted event names it.
    public var shown: Snapshot.Indicator? {
        guard countedEvents > 0 else { return nil }
        return Snapshot.Indicator(label: label, counted: counted, attempted: attempted, updatedAt: updatedAt)
    }
}
