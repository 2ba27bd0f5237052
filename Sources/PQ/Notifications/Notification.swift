/// The channel and the payload of a NOTIFY.
public struct Notification: Hashable, Sendable {
    public let channel: String
    public let payload: String
}
