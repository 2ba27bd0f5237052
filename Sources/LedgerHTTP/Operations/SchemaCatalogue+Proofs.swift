internal import Ledger

extension SchemaCatalogue {
    /// What replays, proofs and operations answer.
    static var proofs: [Schema] {
        [
            Schema(
                name: "ReplayRequest",
                content: .object(
                    [
                        Field("job", .nullable(.text(max: nil)), required: false),
                        Field(
                            "policy", .nullable(.choice(CountingPolicy.allCases.map(\.rawValue))), required: false),
                        Field("apply", .nullable(.bool), required: false),
                    ], isClosed: true)),
            object(
                "Replay",
                [
                    Field("replay", .text(max: nil)), Field("job", .nullable(.text(max: nil))),
                    Field("policy", .choice(CountingPolicy.allCases.map(\.rawValue))), Field("apply", .bool),
                    Field("state", .choice(Replay.State.allCases.map(\.rawValue))), Field("created_at", .moment),
                    Field("finished_at", .nullable(.moment)), Field("error", .nullable(.text(max: nil))),
                    Field("jobs", .reference("Units")), Field("events", .reference("Units")),
                    Field("skipped_jobs", .integer(nil)), Field("keeps", .bool),
                    Field("difference_count", .integer(nil)),
                    Field("differences", .array(.reference("ReplayDifference"))),
                ]),
            object(
                "HeadPage",
                [Field("heads", .array(.reference("Head"))), Field("next_cursor", .nullable(.text(max: nil)))]),
            object(
                "Head",
                [
                    Field("job", .text(max: nil)), Field("sequence", .nullable(.integer(nil))),
                    Field("hash", .nullable(.text(max: 64))),
                ]),
            object(
                "Imported",
                [
                    Field("job", .text(max: nil)), Field("appended", .integer(nil)),
                    Field("ledger_sequence", .integer(nil)), Field("complete", .bool),
                ]),
            object("Replays", [Field("replays", .array(.reference("Replay")))]),
            object(
                "ReplayDifference",
                [
                    Field("job", .text(max: nil)),
                    Field("part", .choice(Replay.Difference.Part.allCases.map(\.rawValue))),
                    Field("key", .text(max: nil)), Field("live", .nullable(.text(max: nil))),
                    Field("replayed", .nullable(.text(max: nil))),
                ]),
        ]
    }
}
