/// A point in the history of a job.
public enum PointInTime: Hashable, Sendable {
    /// After this event: 0 is before the first one, the maximum is the last one.
    case sequence(EventSequence)
    /// After the last event recorded at this time or before.
    case time(Timestamp)
}
