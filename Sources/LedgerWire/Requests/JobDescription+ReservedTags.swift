public import Ledger

extension JobDescription {
    /// The reserved tag with the time at which the job should have ended.
    public static let deadlineTag: Name = "ledger.deadline"

    /// The time in the tag `ledger.deadline`; nil without a valid one.
    public var deadline: Timestamp? { tags[Self.deadlineTag].flatMap { RFC3339.timestamp($0.text) } }

    /// Returns the errors in the values of reserved tags.
    ///
    /// Only a new job is refused for them. A job that exists, or is imported, may be older than their meaning; there
    /// invalid values are ignored.
    public func reservedTagErrors() -> [FieldError] {
        var errors: [FieldError] = []
        if tags[Self.leaseTag] != nil, leaseSeconds == nil {
            let (least, most) = (Self.leaseSeconds.lowerBound, Self.leaseSeconds.upperBound)
            errors.append(
                FieldError(
                    pointer: "/tags/\(Self.leaseTag.jsonPointerToken)",
                    detail: "must be a number of seconds from \(least) to \(most)"))
        }
        if tags[Self.deadlineTag] != nil, deadline == nil {
            errors.append(
                FieldError(
                    pointer: "/tags/\(Self.deadlineTag.jsonPointerToken)",
                    detail: "must be a time such as 2026-01-31T18:00:00Z"))
        }
        return errors
    }
}
