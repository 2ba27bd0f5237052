extension JobDescription {
    /// The name of the jobs that track replays.
    public static let replayName: Name = "replay"
    /// The tag with the counting policy of a replay.
    public static let replayPolicyTag: Name = "policy"
    /// The tag with the job that is replayed, or `all`.
    public static let replayJobTag: Name = "job"

    /// The description of the job that tracks a replay.
    public init(of request: Replay.Request) {
        self.init(
            name: Self.replayName,
            tags: [
                Self.replayPolicyTag: Name(request.policy.rawValue),
                Self.replayJobTag: Name(request.job?.description ?? "all"),
            ])
    }

    /// Whether it describes a job that tracks a replay.
    ///
    /// It has that name and exactly those tags. A caller may create such a job too; lists without replays then omit it.
    public var isOfReplay: Bool {
        name == Self.replayName && Set(tags.keys) == [Self.replayPolicyTag, Self.replayJobTag]
    }
}
