public import Ledger

/// The parser for the bodies of requests about subscriptions.
public enum SubscriptionBody {
    /// Parses the description of a subscription to create.
    ///
    /// - Parameter targets: The receivers that the server permits.
    public static func request(
        _ body: [UInt8], _ targets: WebhookTargets
    ) throws(RequestError) -> SubscriptionRequest {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try EventRequest.value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let name = fields.requiredName("name", &errors)
        let url = fields.requiredName("url", &errors)
        let kinds = fields.notificationKinds("when", &errors)
        var (jobName, tags): (Name?, [Name: Name]) = (nil, [:])
        if let filter = fields.object("filter") {
            if var filter = FieldReader(filter, prefix: "/filter", &errors) {
                jobName = filter.name("name", &errors)
                tags = filter.tags("tags", &errors)
                filter.finish("a filter", &errors)
            }
        }
        var secret: WebhookSecret?
        if let text = fields.name("secret", &errors) {
            secret = WebhookSecret(text.text)
            if secret == nil {
                errors.add("/secret", "must be whsec_ and the Base64 of 24 to 64 random bytes, or be left out")
            }
        }
        let format = fields.choiceIfPresent(
            "format", Subscription.Format.allCases.map { (name: $0.rawValue, value: $0) }, &errors)
        fields.finish("a subscription", &errors)
        guard errors.isEmpty, let name, let url else { throw .invalid(errors.list) }
        let request = SubscriptionRequest(
            name: name, url: url.text, kinds: kinds, jobName: jobName, tags: tags, secret: secret,
            format: format ?? .standard)
        errors.add(request.fieldErrors(targets), in: "", since: 0)
        guard errors.isEmpty else { throw .invalid(errors.list) }
        return request
    }
}

extension FieldReader {
    /// Returns the kinds in an array of texts; records a problem for others.
    fileprivate mutating func notificationKinds(_ field: String, _ errors: inout FieldErrorList) -> [NotificationKind] {
        var kinds: [NotificationKind] = []
        for (index, element) in array(field, &errors).enumerated() {
            let pointer = "\(pointer(field))/\(index)"
            guard let text = element.text else {
                errors.add(pointer, "must be a string, not \(element.kind)")
                continue
            }
            if let kind = NotificationKind(text), kind != .test {
                kinds.append(kind)
            } else {
                let names = NotificationKind.plain.map(\.name).joined(separator: ", ")
                errors.add(pointer, "must be one of \(names), or a percentage from 1 to 100, such as percent:50")
            }
        }
        return kinds
    }
}

extension SubscriptionRequest {
    /// Writes the body of a request that creates the subscription.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name.text)
            writer.field("url", url)
            writer.name("when")
            writer.array(kinds.map(\.text)) { $0.string($1) }
            Subscription.writeFilter(jobName, tags, to: &writer)
            writer.field("secret", secret?.text)
            writer.field("format", format.rawValue)
        }
    }
}
