/// The description of a subscription to create.
public struct SubscriptionRequest: Hashable, Sendable {
    public var name: Name
    /// The text of the receiver's address.
    public var url: String
    public var kinds: [NotificationKind]
    public var jobName: Name?
    public var tags: [Name: Name]
    /// The key that signs deliveries; nil to have one made.
    public var secret: WebhookSecret?
    public var format: Subscription.Format

    public init(
        name: Name, url: String, kinds: [NotificationKind], jobName: Name? = nil, tags: [Name: Name] = [:],
        secret: WebhookSecret? = nil, format: Subscription.Format = .standard
    ) {
        self.name = name
        self.url = url
        self.kinds = kinds
        self.jobName = jobName
        self.tags = tags
        self.secret = secret
        self.format = format
    }

    /// The maximum number of kinds, thresholds of percentages included.
    public static let kindsMax = 20

    /// Returns every error of this description; empty if it is valid.
    ///
    /// - Parameter targets: The receivers that the server permits.
    public func fieldErrors(_ targets: WebhookTargets) -> [FieldError] {
        var errors = name.fieldErrors(pointer: "/name", lengths: Limits.subscriptionNameLengths)
        if name.text.unicodeScalars.contains(where: { [.control, .format].contains($0.properties.generalCategory) }) {
            errors.append(FieldError(pointer: "/name", detail: "must not contain control or format characters"))
        }
        do throws(WebhookAddress.Invalid) {
            if let reason = targets.refusal(of: try WebhookAddress(url)) {
                errors.append(FieldError(pointer: "/url", detail: reason))
            }
        } catch {
            errors.append(FieldError(pointer: "/url", detail: error.detail))
        }
        if kinds.isEmpty || kinds.count > Self.kindsMax {
            errors.append(FieldError(pointer: "/when", detail: "must have 1 to \(Self.kindsMax) elements"))
        } else if Set(kinds).count < kinds.count {
            errors.append(FieldError(pointer: "/when", detail: "must not name a kind twice"))
        }
        errors += (jobName?.fieldErrors(pointer: "/filter/name", lengths: Limits.jobNameLengths) ?? [])
        // The limits of a job's tags.
        errors += JobDescription(name: "a job", tags: tags).fieldErrors().map { error in
            FieldError(pointer: "/filter" + error.location, detail: error.detail)
        }
        return errors
    }
}
