public import Ledger

extension Subscription {
    /// Writes the subscription.
    ///
    /// - Parameter secret: The secret of a subscription that was just created, which is written with the whole URL; nil
    ///   for others, whose secret and URL are masked.
    public func write(to writer: inout JSONWriter, secret: WebhookSecret? = nil) {
        writer.object { writer in
            writer.field("id", id.text)
            writer.field("name", name.text)
            writer.field("url", secret == nil ? receiver.masked : receiver.text)
            writer.name("when")
            writer.array(kinds.map(\.text)) { $0.string($1) }
            Self.writeFilter(jobName, tags, to: &writer)
            writer.field("secret", secret?.text ?? "whsec_…")
            writer.field("format", format.rawValue)
            writer.field("created_at", RFC3339.text(createdAt))
            writer.field("created_by", createdBy?.text)
            writer.field("disabled_at", disabled.map { RFC3339.text($0.at) })
            writer.field("disabled_reason", disabled?.reason.rawValue)
        }
    }

    static func writeFilter(_ jobName: Name?, _ tags: [Name: Name], to writer: inout JSONWriter) {
        writer.name("filter")
        writer.object { writer in
            writer.field("name", jobName?.text)
            writer.name("tags")
            writer.object { writer in
                for (name, value) in tags.sorted(by: { $0.key < $1.key }) { writer.field(name.text, value.text) }
            }
        }
    }
}

/// A subscription as a server shows it, with the masked URL.
public struct ShownSubscription: Sendable {
    public let id: Subscription.ID
    public let name: Name
    public let url: String
    /// The kinds of notifications, as texts.
    public let kinds: [String]
    public let jobName: Name?
    public let tags: [Name: Name]
    /// The secret; masked unless the subscription was just created.
    public let secret: String
    public let disabledReason: String?

    /// Parses the output of ``Subscription/write(to:secret:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let id = Subscription.ID(try reader.text("id")) else { throw ResponseError(field: "id") }
        self.id = id
        name = Name(try reader.text("name"))
        url = try reader.text("url")
        kinds = (value["when"]?.elements ?? []).compactMap(\.text)
        jobName = value["filter"]?["name"]?.text.map { Name($0) }
        tags = ResponseReader(value["filter"] ?? .null).tags("tags")
        secret = try reader.text("secret")
        disabledReason = value["disabled_reason"]?.text
    }
}
