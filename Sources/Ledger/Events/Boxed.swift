/// Fields that are copied as one reference.
///
/// Few events have a message, a link, a unit, a part or carried units. An event is copied several times between its
/// request and its row, and each text in place would have to be retained and released each time.
final class Boxed<Fields: Hashable & Sendable>: Hashable, Sendable {
    let fields: Fields

    init(_ fields: Fields) {
        self.fields = fields
    }

    static func == (left: Boxed, right: Boxed) -> Bool { left === right || left.fields == right.fields }

    func hash(into hasher: inout Hasher) { hasher.combine(fields) }
}

/// The message and the link of an event, which most events lack.
struct MessageAndLink: Hashable, Sendable {
    let message: Name?
    let link: Name?

    /// Nil without both.
    static func boxed(_ message: Name?, _ link: Name?) -> Boxed<MessageAndLink>? {
        message == nil && link == nil ? nil : Boxed(MessageAndLink(message: message, link: link))
    }
}
