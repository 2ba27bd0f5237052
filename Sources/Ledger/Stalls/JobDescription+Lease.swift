extension JobDescription {
    /// The reserved tag with the seconds after which an execution is silent.
    public static let leaseTag: Name = "ledger.lease"
    /// The values of the tag: up to a year.
    public static let leaseSeconds: ClosedRange<Int64> = 1...31_536_000

    /// The seconds of the tag; nil without a valid one.
    public var leaseSeconds: Int64? {
        tags[Self.leaseTag].flatMap { Int64($0.text) }.flatMap { Self.leaseSeconds.contains($0) ? $0 : nil }
    }
}
