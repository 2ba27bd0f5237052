/// The fold's state of one indicator: received units and their disposition.
public struct IndicatorState: Hashable, Sendable {
    /// Its id: the sequence of the first event that named it, with any verdict.
    ///
    /// It orders the job's indicators.
    public let id: IndicatorID
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
    /// The units done that earlier executions had done already.
    ///
    /// The sum over all events that were not discarded: they are part of ``attempted``, so those of superseded
    /// executions stay.
    public var carried: Int128
    /// The unit, by the first event that gave one, with any verdict.
    public var unit: Name?
    /// The message of its highest event that counted on arrival and has one.
    public var message: Name?

    public init(
        id: IndicatorID, label: Name?, received: Units = .zero, counted: Units = .zero, superseded: Units = .zero,
        discarded: Units = .zero, countedEvents: Int64 = 0, supersededEvents: Int64 = 0, updatedAt: Timestamp,
        carried: Int128 = 0, unit: Name? = nil, message: Name? = nil
    ) {
        self.id = id
        self.label = label
        self.received = received
        self.counted = counted
        self.superseded = superseded
        self.discarded = discarded
        self.countedEvents = countedEvents
        self.supersededEvents = supersededEvents
        self.updatedAt = updatedAt
        self.carried = carried
        self.unit = unit
        self.message = message
    }

    /// The attempted units: counted and superseded, but not discarded.
    public var attempted: Units { counted + superseded }

    /// Whether received = counted + superseded + discarded.
    public var isConserved: Bool { received == counted + superseded + discarded }

    /// The indicator in a snapshot; nil while no counted event names it.
    public var shown: Snapshot.Indicator? {
        countedEvents > 0 ? shown(counting: counted) : nil
    }

    /// The indicator in a snapshot with these units counted.
    func shown(counting units: Units) -> Snapshot.Indicator {
        Snapshot.Indicator(
            label: label, counted: units, attempted: attempted, carried: carried, updatedAt: updatedAt, unit: unit,
            message: message)
    }
}
