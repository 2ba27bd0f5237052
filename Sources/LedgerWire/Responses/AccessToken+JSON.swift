public import Ledger

extension AccessToken {
    /// Writes the token without its secret.
    ///
    /// - Parameters:
    ///   - now: The present, which determines the state.
    ///   - text: The text of a token that was just created; nil for others, whose text is not stored.
    public func write(to writer: inout JSONWriter, now: Timestamp, text: String? = nil) {
        writer.object { writer in
            writer.field("id", id.text)
            writer.field("name", name.text)
            if let text { writer.field("token", text) }
            writer.field("state", state(at: now).rawValue)
            writer.name("scopes")
            writer.array(scopes.map(\.rawValue).sorted()) { $0.string($1) }
            confinement.writeFields(to: &writer)
            writer.field("created_at", RFC3339.text(createdAt))
            writer.field("created_by", createdBy?.text)
            writer.field("expires_at", expiresAt.map(RFC3339.text))
            writer.field("revoked_at", revokedAt.map(RFC3339.text))
            writer.field("last_used_at", lastUsedAt.map(RFC3339.text))
        }
    }
}

extension AccessToken {
    /// Parses the output of ``write(to:now:text:)``.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let id = AccessToken.ID(try reader.text("id")) else { throw ResponseError(field: "id") }
        let scopes = (value["scopes"]?.elements ?? []).compactMap { $0.text.flatMap { Scope(rawValue: $0) } }
        self.init(
            id: id, name: Name(try reader.text("name")), scopes: Set(scopes),
            confinement: Confinement(tags: reader.tags("tags"), job: try reader.jobIfPresent("job")),
            createdAt: try reader.timestamp("created_at"), createdBy: value["created_by"]?.text.map { Name($0) },
            expiresAt: try reader.timestampIfPresent("expires_at"),
            revokedAt: try reader.timestampIfPresent("revoked_at"),
            lastUsedAt: try reader.timestampIfPresent("last_used_at"))
    }
}
