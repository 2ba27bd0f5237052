/// What a NOTIFY said.
public struct Notification: Hashable, Sendable {
    public let channel: String
    public let payload: String
}
