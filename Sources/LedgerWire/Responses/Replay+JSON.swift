public import Ledger

extension Replay {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("replay", id.description)
            writer.field("job", request.job?.description)
            writer.field("policy", request.policy.rawValue)
            writer.field("apply", request.applies)
            writer.field("state", state.rawValue)
            writer.field("created_at", RFC3339.text(createdAt))
            writer.field("finished_at", finishedAt.map(RFC3339.text))
            writer.field("error", error)
            writer.name("jobs")
            jobs.write(to: &writer)
            writer.name("events")
            events.write(to: &writer)
            writer.field("retired_jobs", retiredJobs)
            writer.field("skipped_jobs", skippedJobs)
            writer.name("skipped")
            writer.array(skips) { writer, skip in
                writer.object { writer in
                    writer.field("job", skip.job.description)
                    writer.field("reason", skip.reason)
                }
            }
            writer.field("keeps", keeps)
            writer.field("difference_count", differenceCount)
            writer.name("differences")
            writer.array(differences) { $1.write(to: &$0) }
        }
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let policy = CountingPolicy(rawValue: try reader.text("policy")) else {
            throw ResponseError(field: "policy")
        }
        guard let state = State(rawValue: try reader.text("state")) else { throw ResponseError(field: "state") }
        guard let applies = value["apply"]?.bool else { throw ResponseError(field: "apply") }
        guard let keeps = value["keeps"]?.bool else { throw ResponseError(field: "keeps") }
        var only: JobID?
        if let job = value["job"], job != .null { only = try reader.job("job") }
        var differences: [Finding] = []
        for element in value["differences"]?.elements ?? [] { differences.append(try Finding(element)) }
        self.init(
            id: try reader.job("replay"), request: Request(job: only, policy: policy, applies: applies), state: state,
            createdAt: try reader.timestamp("created_at"), finishedAt: try reader.timestampIfPresent("finished_at"),
            error: value["error"]?.text, jobs: try Count(value["jobs"] ?? .null),
            events: try Count(value["events"] ?? .null), skippedJobs: try reader.integer("skipped_jobs"),
            keeps: keeps, differenceCount: try reader.integer("difference_count"), differences: differences)
        // A server of an earlier version sends none.
        if value["retired_jobs"] != nil { retiredJobs = try reader.integer("retired_jobs") }
        for element in value["skipped"]?.elements ?? [] {
            let skip = ResponseReader(element)
            skips.append(Skip(job: try skip.job("job"), reason: try skip.text("reason")))
        }
    }
}

extension Replay.Count {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("total", total)
            writer.field("done", done)
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(total: try reader.integer("total"), done: try reader.integer("done"))
    }
}

extension Replay.Finding {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("job", job.description)
            writer.field("part", part.rawValue)
            writer.field("key", key.text)
            writer.field("live", live)
            writer.field("replayed", replayed)
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let part = Part(rawValue: try reader.text("part")) else { throw ResponseError(field: "part") }
        self.init(
            job: try reader.job("job"), part: part, key: Name(try reader.text("key")), live: value["live"]?.text,
            replayed: value["replayed"]?.text)
    }
}
