internal import Ledger

extension SchemaCatalogue {
    private static let session = [
        Field("process", .integer(nil)), Field("application", .text(max: nil)),
        Field("state", .nullable(.text(max: nil))), Field("microseconds", .integer(nil)),
        Field("statement", .nullable(.text(max: nil))),
    ]

    /// The schemas of replays, proofs and operations.
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
                    Field("retired_jobs", .integer(nil)), Field("skipped_jobs", .integer(nil)),
                    Field("skipped", .array(.reference("ReplaySkip"))), Field("keeps", .bool),
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
            object(
                "Status",
                [
                    Field("version", .text(max: nil)), Field("build", .text(max: nil)),
                    Field("lag", .reference("Lag")), Field("workers", .array(.reference("Worker"))),
                    Field("stuck_jobs", .array(.reference("StuckJob"))), Field("stuck_job_count", .integer(nil)),
                    Field("blocked", .array(.reference("BlockedSession"))), Field("replay", .nullable(.text(max: nil))),
                    Field("notifications", .reference("NotificationCounts")),
                    Field("vacuum", .reference("Vacuum")), Field("guarantee_faults", .array(.text(max: nil))),
                    Field("database", .nullable(.reference("Database"))),
                    Field("read_replica", .nullable(.reference("ReadReplica"))),
                    Field("shards", .array(.reference("Shard"))),
                    Field("durability_faults", .array(.text(max: nil))),
                    Field("durability_remarks", .array(.text(max: nil))),
                    Field("missing_partitions", .array(.text(max: nil))),
                    Field("append_failure", .nullable(.reference("Failure"))),
                    Field("refusals", .map(.integer(nil))),
                ]),
            object(
                "Database",
                [
                    Field("version", .text(max: nil)), Field("synchronous_commit", .text(max: nil)),
                    Field("synchronous_standby_names", .text(max: nil)),
                    Field("synchronous_standbys", .nullable(.integer(nil))), Field("fsync", .bool),
                    Field("full_page_writes", .bool), Field("survives_crash", .bool),
                    Field("survives_failover", .bool),
                ]),
            object(
                "Shard",
                [
                    Field("shard", .integer(nil)), Field("slots", .integer(nil)), Field("lag_jobs", .integer(nil)),
                    Field("fault", .nullable(.text(max: nil))),
                ]),
            object(
                "ReadReplica",
                [
                    Field("lag_bytes", .nullable(.integer(nil))), Field("lag_microseconds", .nullable(.integer(nil))),
                    Field("reads", .integer(nil)), Field("fallbacks", .integer(nil)),
                    Field("fault", .nullable(.text(max: nil))),
                ]),
            object(
                "NotificationCounts",
                [
                    Field("subscriptions", .integer(nil)), Field("disabled", .integer(nil)),
                    Field("pending", .integer(nil)), Field("oldest_microseconds", .integer(nil)),
                ]),
            object(
                "Vacuum",
                [
                    Field("held_back_by", .array(.reference("VacuumHolder"))),
                    Field("tables", .array(.reference("TableHealth"))),
                ]),
            object(
                "VacuumHolder",
                [
                    Field("kind", .choice(LedgerStatus.VacuumHolder.Kind.allCases.map(\.rawValue))),
                    Field("name", .text(max: nil)), Field("process", .nullable(.integer(nil))),
                    Field("microseconds", .nullable(.integer(nil))), Field("transactions", .integer(nil)),
                ]),
            object(
                "TableHealth",
                [
                    Field("table", .text(max: nil)), Field("live_rows", .integer(nil)),
                    Field("dead_rows", .integer(nil)),
                    Field("vacuumed_at", .nullable(.moment)),
                ]),
            object(
                "Lag",
                [
                    Field("jobs", .integer(nil)), Field("events", .integer(nil)), Field("microseconds", .integer(nil)),
                    Field("missing_snapshots", .integer(nil)), Field("most_behind", .array(.reference("BehindJob"))),
                ]),
            object(
                "BehindJob",
                [Field("job", .text(max: nil)), Field("events", .integer(nil)), Field("microseconds", .integer(nil))]),
            object(
                "Worker",
                [
                    Field("worker", .text(max: nil)), Field("host", .text(max: nil)), Field("process", .integer(nil)),
                    Field("lost", .bool), Field("started_at", .moment), Field("seen_at", .moment),
                    Field("folded_at", .nullable(.moment)), Field("folded_events", .integer(nil)),
                    Field("steps", .integer(nil)), Field("failures", .integer(nil)),
                    Field("pending_jobs", .integer(nil)), Field("last_failure", .nullable(.reference("Failure"))),
                ]),
            object(
                "StuckJob",
                [
                    Field("job", .text(max: nil)), Field("since", .moment), Field("failures", .integer(nil)),
                    Field("worker", .text(max: nil)), Field("last_failure", .reference("Failure")),
                ]),
            object(
                "Failure",
                [Field("at", .moment), Field("sqlstate", .nullable(.text(max: 5))), Field("message", .text(max: nil))]),
            object("BlockedSession", session + [Field("blocked_by", .array(.reference("Session")))]),
            object("Session", session),
            object("Replays", [Field("replays", .array(.reference("Replay")))]),
            object("ReplaySkip", [Field("job", .text(max: nil)), Field("reason", .text(max: nil))]),
            object(
                "ReplayDifference",
                [
                    Field("job", .text(max: nil)),
                    Field("part", .choice(Replay.Finding.Part.allCases.map(\.rawValue))),
                    Field("key", .text(max: nil)), Field("live", .nullable(.text(max: nil))),
                    Field("replayed", .nullable(.text(max: nil))),
                ]),
        ]
    }
}
