internal import Ledger

extension SchemaCatalogue {
    static var schemas: [Schema] { requests + responses + tokens + notifications + proofs + errors }

    private static let task = Field("task", .text(max: Limits.taskLengths.upperBound))
    private static let execution = Field(
        "execution", .nullable(.text(max: Limits.executionLengths.upperBound)), required: false)
    private static let attempt = Field("attempt", .nullable(.integer(Limits.attempts)), required: false)
    private static let at = Field("at", .nullable(.moment), required: false)
    private static let message = Field(
        "message", .nullable(.text(max: Limits.messageLengths.upperBound)), required: false)
    private static let link = Field("link", .nullable(.text(max: Limits.linkLengths.upperBound)), required: false)
    private static let job = Field("job", .text(max: nil))
    /// The state of the job's newest snapshot that the server knows.
    private static let jobState = Field("job_state", .nullable(.choice(JobState.allCases.map(\.rawValue))))

    private static func type(_ type: EventType) -> Field { Field("type", .choice([type.name])) }

    private static func eventRequests(_ name: String, _ first: [Field]) -> [Schema] {
        let progress: [Field] = [
            Field("report", .nullable(.integer(Limits.reports)), required: false),
            Field("label", .nullable(.text(max: Limits.labelLengths.upperBound)), required: false),
            Field("total", .nullable(.integer(Limits.increments)), required: false),
            Field("done", .nullable(.integer(Limits.increments)), required: false),
            Field("carried", .nullable(.integer(Limits.increments)), required: false),
            Field("unit", .nullable(.text(max: Limits.unitLengths.upperBound)), required: false),
            Field("part", .nullable(.text(max: Limits.partLengths.upperBound)), required: false), message, link,
        ]
        let started = first + [type(.executionStarted), task, execution, attempt, at, link]
        let reported = first + [type(.progress), task, execution, attempt, at] + progress
        let finished =
            first + [
                type(.executionFinished), task, execution, attempt, at,
                Field("outcome", .choice(ExecutionOutcome.allCases.map(\.rawValue))), message, link,
            ]
        let ended =
            first + [
                type(.jobFinished), at, Field("outcome", .choice(JobOutcome.allCases.map(\.rawValue))), message,
            ]
        let kinds: [(type: EventType, name: String, fields: [Field])] = [
            (.executionStarted, "\(name)ExecutionStarted", started), (.progress, "\(name)Progress", reported),
            (.executionFinished, "\(name)ExecutionFinished", finished), (.jobFinished, "\(name)JobFinished", ended),
        ]
        let discriminator = Discriminator(field: "type", schemas: kinds.map { ($0.type.name, $0.name) })
        return kinds.map { Schema(name: $0.name, content: .object($0.fields, isClosed: true)) }
            + [
                Schema(
                    name: name,
                    content: .alias(.oneOf(kinds.map { .reference($0.name) }, discriminator: discriminator)))
            ]
    }

    private static var requests: [Schema] {
        let jobRequest = Schema(
            name: "JobRequest",
            content: .object(
                [
                    Field("name", .text(max: Limits.jobNameLengths.upperBound)),
                    Field("key", .nullable(.text(max: Limits.jobKeyLengths.upperBound)), required: false),
                    Field("tags", .nullable(.map(.text(max: Limits.tagValueLengths.upperBound))), required: false),
                ], isClosed: true))
        let start = Schema(
            name: "StartRequest",
            content: .object(
                [task, execution, attempt, link, Field("unless_canceled", .nullable(.bool), required: false)],
                isClosed: true))
        return [jobRequest, start] + eventRequests("EventRequest", []) + eventRequests("CollectedEventRequest", [job])
            + [
                Schema(
                    name: "EventsRequest",
                    content: .alias(.oneOf([.reference("EventRequest"), .array(.reference("EventRequest"))]))),
                Schema(
                    name: "CollectedEventsRequest",
                    content: .alias(
                        .oneOf([.reference("CollectedEventRequest"), .array(.reference("CollectedEventRequest"))]))),
                Schema(name: "Text", content: .alias(.text(max: nil))),
            ]
    }

    private static var tokens: [Schema] {
        let scopes = Kind.array(.choice(Scope.allCases.map(\.rawValue)))
        let token: [Field] = [
            Field("id", .text(max: AccessToken.ID.length)), Field("name", .text(max: nil)),
            Field("state", .choice(AccessToken.State.allCases.map(\.rawValue))), Field("scopes", scopes),
            Field("tags", .map(.text(max: nil))), Field("job", .nullable(.text(max: nil))),
            Field("created_at", .moment), Field("created_by", .nullable(.text(max: nil))),
            Field("expires_at", .nullable(.moment)), Field("revoked_at", .nullable(.moment)),
            Field("last_used_at", .nullable(.moment)),
        ]
        return [
            Schema(
                name: "TokenRequest",
                content: .object(
                    [
                        Field("name", .text(max: Limits.tokenNameLengths.upperBound)), Field("scopes", scopes),
                        Field("tags", .nullable(.map(.text(max: Limits.tagValueLengths.upperBound))), required: false),
                        Field("job", .nullable(.text(max: nil)), required: false),
                        Field("expires_at", .nullable(.moment), required: false),
                    ], isClosed: true)),
            Schema(
                name: "LoginRequest",
                content: .object(
                    [Field("token", .text(max: nil)), Field("share", .nullable(.bool), required: false)], isClosed: true
                )),
            object("Login", [Field("job", .nullable(.text(max: nil)))]),
            object("Token", token),
            object("IssuedToken", token + [Field("token", .text(max: nil))]),
            object("Tokens", [Field("tokens", .array(.reference("Token")))]),
        ]
    }

    private static var responses: [Schema] {
        [
            object(
                "Job",
                [
                    job, Field("key", .nullable(.text(max: nil))), Field("name", .text(max: nil)),
                    Field("tags", .map(.text(max: nil))), Field("state", .choice(JobState.allCases.map(\.rawValue))),
                    Field("percent", .nullable(.integer(0...100))), Field("sequence", .integer(nil)),
                    Field("ledger_sequence", .integer(nil)), Field("now", .moment),
                    Field("created_at", .moment),
                    Field("started_at", .nullable(.moment)), Field("updated_at", .nullable(.moment)),
                    Field("finished_at", .nullable(.moment)), Field("idle_since", .nullable(.moment)),
                    Field("message", .nullable(.text(max: nil))), Field("retired", .bool, required: false),
                    Field("tasks", .reference("TaskCounts")), Field("estimate", .nullable(.reference("Estimate"))),
                    Field("stalled_since", .nullable(.moment)), Field("progress", .array(.reference("Indicator"))),
                ]),
            object(
                "Estimate",
                [
                    Field("at", .moment), Field("remaining_seconds", .nullable(.reference("Seconds"))),
                    Field("finish_at", .nullable(.reference("Finish"))),
                    Field("basis", .nullable(.choice(Estimate.Basis.allCases.map(\.rawValue)))),
                    Field("waiting_for", .nullable(.reference("WaitingFor"))),
                    Field("track_record", .nullable(.reference("TrackRecord"))),
                    Field("reason", .nullable(.choice(Estimate.Reason.allCases.map(\.rawValue)))),
                ]),
            object(
                "Answer",
                [
                    Field("text", .text(max: nil)), Field("state", .choice(JobState.allCases.map(\.rawValue))),
                    Field("percent", .nullable(.integer(0...100))),
                    Field("remaining_seconds", .nullable(.reference("Seconds"))),
                    Field("finish_at", .nullable(.reference("Finish"))), Field("stalled_since", .nullable(.moment)),
                    Field("failed_tasks", .integer(nil)), Field("waiting_for", .nullable(.reference("WaitingFor"))),
                    Field("ask_again_seconds", .integer(nil)),
                ]),
            object("Seconds", ["p10", "p50", "p90"].map { Field($0, .number) }),
            object("Finish", ["p10", "p50", "p90"].map { Field($0, .moment) }),
            object(
                "WaitingFor", [Field("label", .nullable(.text(max: nil))), Field("tasks", .array(.text(max: nil)))]),
            object("TrackRecord", [Field("jobs", .integer(nil)), Field("ended_inside", .integer(nil))]),
            object(
                "NameRecord",
                [
                    Field("name", .text(max: nil)), Field("jobs", .integer(nil)), Field("ended_inside", .integer(nil)),
                    Field("error_factor", .reference("ErrorFactor")), Field("coverage", .reference("Coverage")),
                ]),
            object("ErrorFactor", ["p50", "p90"].map { Field($0, .nullable(.number)) }),
            object("Coverage", ["p10", "p90"].map { Field($0, .nullable(.number)) }),
            object(
                "TaskCounts",
                [
                    "total", "running", "succeeded", "failed", "canceled", "abandoned", "executions",
                    "superseded_executions",
                ].map { Field($0, .integer(nil)) } + [Field("silent", .integer(nil), required: false)]),
            object(
                "Indicator",
                [
                    Field("label", .nullable(.text(max: nil))), Field("unit", .nullable(.text(max: nil))),
                    Field("done", .sum), Field("total", .sum),
                    Field("percent", .nullable(.sum)), Field("attempted_done", .sum),
                    Field("attempted_total", .sum), Field("wasted_done", .sum),
                    Field("wasted_total", .sum), Field("carried_done", .sum), Field("updated_at", .moment),
                    Field("rate", .nullable(.number)), Field("remaining_seconds", .nullable(.number)),
                    Field("stalled_since", .nullable(.moment)), Field("message", .nullable(.text(max: nil))),
                ]),
            object(
                "JobPage",
                [
                    Field("jobs", .array(.reference("Job"))), Field("next_cursor", .nullable(.text(max: nil))),
                    Field("counts", .reference("JobCountsByState"), required: false),
                    Field("missing_shards", .array(.integer(nil)), required: false),
                ]),
            object(
                "JobCountsByState",
                JobState.allCases.map { Field($0.rawValue, .integer(0...Int64(JobCountsByState.countMax))) }
                    + [Field("incomplete", .array(.choice(JobState.allCases.map(\.rawValue))))]),
            object(
                "Appended",
                [
                    Field("first_sequence", .integer(nil)), Field("last_sequence", .integer(nil)), jobState,
                    Field(
                        "verdicts", .nullable(.array(.nullable(.choice(Verdict.allCases.map(\.rawValue))))),
                        required: false),
                ]),
            object("AppendedToMany", [Field("appended", .integer(nil)), Field("jobs", .map(.reference("Appended")))]),
            object(
                "TaskPage",
                [
                    Field("sequence", .integer(nil)), Field("tasks", .array(.reference("Task"))),
                    Field("next_cursor", .nullable(.text(max: nil))),
                ]),
            object(
                "Task",
                [
                    Field("task", .text(max: nil)), Field("state", .choice(TaskState.allCases.map(\.rawValue))),
                    Field("first_sequence", .integer(nil)), Field("execution_count", .integer(nil)),
                    Field("executions", .array(.reference("Execution"))),
                ]),
            object(
                "Execution",
                [
                    Field("execution", .nullable(.text(max: nil))), Field("attempt", .integer(nil)),
                    Field("outcome", .nullable(.choice(ExecutionOutcome.allCases.map(\.rawValue)))),
                    Field("first_sequence", .integer(nil)), Field("last_sequence", .integer(nil)),
                    Field("started_at", .moment), Field("last_at", .moment), Field("counted", .bool),
                    Field("provisional", .bool), Field("message", .nullable(.text(max: nil))),
                    Field("link", .nullable(.text(max: nil))), Field("reporter", .nullable(.text(max: nil))),
                    Field("silent_since", .nullable(.moment)),
                    Field("progress", .array(.reference("Contribution"))),
                ]),
            object(
                "Contribution",
                [
                    Field("label", .nullable(.text(max: nil))), Field("total", .sum),
                    Field("done", .sum),
                ]),
            object(
                "Explanation",
                [
                    Field("label", .nullable(.text(max: nil))), Field("sequence", .integer(nil)),
                    Field("tasks", .array(.reference("ExplainedTask"))),
                    Field("conservation", .map(.reference("Units"))), Field("next_cursor", .nullable(.text(max: nil))),
                ]),
            object(
                "ExplainedTask",
                [Field("task", .text(max: nil)), Field("executions", .array(.reference("ExplainedExecution")))]),
            object(
                "ExplainedExecution",
                [
                    Field("execution", .nullable(.text(max: nil))), Field("attempt", .integer(nil)),
                    Field("sequence", .integer(nil)), Field("is_counted", .bool), Field("counted", .reference("Units")),
                    Field("superseded", .reference("Units")), Field("discarded", .reference("Units")),
                    Field("superseded_by", .anything),
                ]),
            object(
                "SnapshotDiff",
                [
                    Field("from", .reference("Point")), Field("to", .reference("Point")),
                    Field("events", .map(.integer(nil))), Field("progress", .array(.reference("IndicatorChange"))),
                    Field("started", .reference("Changes")), Field("finished", .reference("Changes")),
                    Field("superseded", .reference("Changes")),
                ]),
            object(
                "Point",
                [
                    Field("sequence", .integer(nil)), Field("at", .nullable(.moment)),
                    Field("state", .choice(JobState.allCases.map(\.rawValue))), Field("tasks", .map(.integer(nil))),
                ]),
            object(
                "IndicatorChange",
                [
                    Field("label", .nullable(.text(max: nil))), Field("from", .nullable(.reference("Units"))),
                    Field("to", .nullable(.reference("Units"))), Field("change", .reference("Units")),
                ]),
            object("Changes", [Field("count", .integer(nil)), Field("first", .array(.reference("Change")))]),
            object(
                "Change",
                [
                    Field("task", .text(max: nil)), Field("execution", .nullable(.text(max: nil))),
                    Field("attempt", .integer(nil)), Field("sequence", .integer(nil)), Field("at", .moment),
                    Field("late", .bool, required: false), Field("at_sequence", .integer(nil), required: false),
                    Field("outcome", .choice(ExecutionOutcome.allCases.map(\.rawValue)), required: false),
                    Field("superseded_by", .reference("ExecutionIdentity"), required: false),
                    Field("lost", .array(.reference("Contribution")), required: false),
                ]),
            object(
                "IndicatorHistory",
                [
                    Field("label", .nullable(.text(max: nil))), Field("sequence", .integer(nil)),
                    Field("points", .array(.reference("HistoryPoint"))),
                ]),
            object(
                "HistoryPoint",
                [
                    Field("sequence", .integer(nil)), Field("at", .moment), Field("total", .sum),
                    Field("done", .sum), Field("cause", .reference("Cause"), required: false),
                ]),
            object(
                "Cause",
                [
                    Field("task", .text(max: nil)), Field("execution", .nullable(.text(max: nil))),
                    Field("attempt", .integer(nil)), Field("sequence", .integer(nil)),
                    Field("superseded", .reference("ExecutionIdentity")), Field("lost", .reference("Units")),
                ]),
            object("Units", [Field("total", .sum), Field("done", .sum)]),
            object(
                "Verification",
                [
                    Field("job", .text(max: nil)), Field("ok", .bool), Field("sequence", .integer(nil)),
                    Field("head_hash", .text(max: 64)), Field("ledger_sequence", .integer(nil)),
                    Field("complete", .bool), Field("retired_at", .nullable(.moment)),
                    Field("fault", .nullable(.reference("Fault"))),
                ]),
            object(
                "Fault",
                [
                    Field("kind", .choice(Verification.Kind.allCases.map(\.rawValue))),
                    Field("sequence", .integer(nil)), Field("detail", .text(max: nil)),
                ]),
            object(
                "Started",
                [
                    Field("task", .text(max: nil)), Field("execution", .text(max: nil)),
                    Field("attempt", .nullable(.integer(nil))), Field("sequence", .integer(nil)), jobState,
                ]),
            event,
            object(
                "EventPage",
                [
                    Field("events", .array(.reference("Event"))), Field("next_after", .nullable(.integer(nil))),
                ]),
            object("Health", [Field("status", .text(max: nil))]),
            object("Readiness", [Field("status", .text(max: nil)), Field("checks", .array(.reference("Check")))]),
            object(
                "Check",
                [
                    Field("name", .text(max: nil)), Field("passed", .bool), Field("warning", .bool),
                    Field("detail", .text(max: nil)),
                ]),
            Schema(name: "Limits", content: .alias(.map(.integer(nil)))),
            Schema(name: "Description", content: .alias(.anything)),
        ]
    }

    private static var event: Schema {
        func optional(_ name: String, _ kind: Kind) -> Field { Field(name, kind, required: false) }
        return object(
            "Event",
            [
                Field("sequence", .integer(nil)), Field("type", .choice(EventType.allCases.map(\.name))),
                optional("task", .text(max: nil)), optional("execution", .text(max: nil)),
                optional("attempt", .integer(nil)),
                optional("report", .integer(nil)), optional("label", .text(max: nil)), optional("total", .integer(nil)),
                optional("done", .integer(nil)), optional("carried", .integer(nil)),
                optional("unit", .text(max: nil)), optional("part", .text(max: nil)),
                optional("outcome", .text(max: nil)), optional("message", .text(max: nil)),
                optional("link", .text(max: nil)),
                optional("name", .text(max: nil)),
                optional("key", .text(max: nil)), optional("tags", .map(.text(max: nil))),
                optional("reporter", .text(max: nil)),
                optional("at", .moment),
                Field("recorded_at", .moment), optional("inferred", .array(.text(max: nil))),
                Field("verdict", .nullable(.choice(Verdict.allCases.map(\.rawValue)))), optional("late", .bool),
                optional("superseded_by", .reference("ExecutionIdentity")), optional("duplicate_of", .integer(nil)),
                Field("hash", .text(max: 64)),
            ])
    }

    private static var errors: [Schema] {
        let problem = [
            Field("title", .text(max: nil)), Field("status", .integer(nil)), Field("detail", .text(max: nil)),
            Field("request_id", .text(max: nil)), Field("trace_id", .text(max: nil), required: false),
            Field("errors", .array(.reference("FieldError")), required: false),
        ]
        return [
            object(
                "ExecutionIdentity",
                [
                    Field("execution", .nullable(.text(max: nil))), Field("attempt", .integer(nil)),
                    Field("sequence", .integer(nil)),
                ]),
            object("Problem", problem),
            object(
                "RetiredProblem",
                problem + [
                    Field("job", .text(max: nil), required: false), Field("retired_at", .moment, required: false),
                    Field("export", .reference("RetiredExport"), required: false),
                ]),
            object("RetiredExport", [Field("place", .text(max: nil)), Field("sha256", .text(max: 64))]),
            object(
                "FieldError",
                [
                    Field("pointer", .text(max: nil), required: false),
                    Field("parameter", .text(max: nil), required: false),
                    Field("detail", .text(max: nil)),
                ]),
            object(
                "SupersededProblem",
                problem + [
                    Field("execution", .nullable(.text(max: nil))), Field("attempt", .integer(nil)),
                    Field("sequence", .integer(nil)), Field("last", .reference("LastExecution")),
                ]),
            object("CanceledProblem", problem + [Field("job_state", .choice([JobState.canceled.rawValue]))]),
            Schema(
                name: "StartProblem",
                content: .alias(.oneOf([.reference("SupersededProblem"), .reference("CanceledProblem")]))),
            object("LastExecution", [Field("execution", .nullable(.text(max: nil))), Field("attempt", .integer(nil))]),
        ]
    }

    static func object(_ name: String, _ fields: [Field]) -> Schema {
        Schema(name: name, content: .object(fields, isClosed: false))
    }
}
