public import Ledger

/// Parsers for the bodies of requests about tokens.
public enum TokenRequest {
    /// Parses the description of a token to create.
    ///
    /// - Parameter moment: The present: a token must expire later.
    public static func description(_ body: [UInt8], at moment: Timestamp) throws(RequestError) -> AccessTokenRequest {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try EventRequest.value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let name = fields.requiredName("name", &errors)
        let before = errors.count
        let scopes = fields.choices("scopes", Scope.allCases.map { (name: $0.rawValue, value: $0) }, &errors)
        let hasScopeErrors = errors.count > before
        let tags = fields.tags("tags", &errors)
        let job = fields.job("job", &errors)
        let expiresAt = fields.timestamp("expires_at", &errors)
        fields.finish("a token", &errors)
        let request = AccessTokenRequest(
            name: name ?? "", scopes: Set(scopes), confinement: Confinement(tags: tags, job: job), expiresAt: expiresAt)
        let own = request.fieldErrors(at: moment).filter { $0.pointer != "/scopes" || !hasScopeErrors }
        errors.add(own, in: "", since: 0)
        guard errors.isEmpty else { throw .invalid(errors.list) }
        return request
    }

    /// Parses the token of a login, and whether it is from a share link.
    public static func login(_ body: [UInt8]) throws(RequestError) -> (token: String, isShare: Bool) {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try EventRequest.value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let token = fields.requiredName("token", &errors)
        let isShare = fields.bool("share", &errors) ?? false
        fields.finish("a login", &errors)
        guard errors.isEmpty, let token else { throw .invalid(errors.list) }
        return (token.text, isShare)
    }
}

extension AccessTokenRequest {
    /// Writes the body of a request that creates the token.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name.text)
            writer.name("scopes")
            writer.array(scopes.map(\.rawValue).sorted()) { $0.string($1) }
            confinement.writeFields(to: &writer)
            writer.field("expires_at", expiresAt.map(RFC3339.text))
        }
    }
}

extension Confinement {
    /// Writes the tags and the job.
    func writeFields(to writer: inout JSONWriter) {
        writer.name("tags")
        writer.object { writer in
            for (name, value) in tags.sorted(by: { $0.key < $1.key }) { writer.field(name.text, value.text) }
        }
        writer.field("job", job?.description)
    }
}
