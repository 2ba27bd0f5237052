import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient

/// The job of a query.
struct JobOptions: ParsableArguments {
    @Argument(
        help:
            "The job: its id, the beginning of its id, its key, or 'last' for the newest job. Default: PROGRESS_LEDGER_JOB."
    )
    var job: String?

    @Option(help: "The job's key, instead of its id.")
    var key: String?

    func validate() throws {
        guard job == nil || key == nil else { throw ValidationError("Give the job or its --key, not both.") }
    }

    /// The job's id; see ``JobSelector/find(_:_:)`` for the cost.
    func resolve(_ client: LedgerClient) async throws -> JobID {
        if let key { return try await Self.find(key: key, client) }
        return try await Self.find(job, client)
    }

    /// Finds the job of a command that only reads.
    ///
    /// It is named on the command line or, if it has none, in the environment.
    static func find(_ given: String?, _ client: LedgerClient) async throws -> JobID {
        try await JobSelector.find(try named(given), client)
    }

    /// Finds the job of a command that changes it.
    static func findExactly(_ given: String?, _ client: LedgerClient) async throws -> JobID {
        try await JobSelector.findExactly(try named(given), client)
    }

    /// Parses an id from the command line or, if there is none, the environment.
    static func parse(_ given: String?) throws(CommandFailure) -> JobID {
        let text = try named(given)
        guard let job = JobID(text) else {
            throw CommandFailure(
                .usage,
                "'\(VisibleText.escape(text))' is not a job id. Expected a UUID such as "
                    + "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192.")
        }
        return job
    }

    private static func named(_ given: String?) throws(CommandFailure) -> String {
        guard let text = given ?? configured, !text.isEmpty else {
            throw CommandFailure(.usage, "No job given. Give its id or set \(Setting.job.variable).")
        }
        return text
    }

    /// The job in the environment; nil if there is none.
    static var configured: String? {
        ProcessInfo.processInfo.environment[Setting.job.variable].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Finds the id of the job with this key.
    static func find(key: String, _ client: LedgerClient) async throws -> JobID {
        var search = JobSearch()
        search.key = Name(key)
        guard let job = try await client.jobs(search).jobs.first else {
            throw CommandFailure(.notFound, "No job has the key '\(key)'.")
        }
        return job.id
    }
}

/// The indicator of a query: a job and a label.
struct IndicatorOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "The job (its id, the beginning of its id, its key, or 'last') and the indicator's label. Without a label: the default indicator.",
            discussion: "With --key or PROGRESS_LEDGER_JOB, give only the label.", valueName: "job-and-label"))
    var words: [String] = []

    @Option(help: "The job's key, instead of its id.")
    var key: String?

    func validate() throws {
        guard words.count <= (key == nil ? 2 : 1) else {
            throw ValidationError(
                key == nil ? "Give the job and one label." : "With --key, give only the label, without the job.")
        }
    }

    /// The job's id and the label.
    ///
    /// With a job in the environment, a single word is the label unless it is a whole id. See
    /// ``JobSelector/find(_:_:)`` for the cost.
    func resolve(_ client: LedgerClient) async throws -> (job: JobID, label: Name) {
        if let key { return (try await JobOptions.find(key: key, client), Name(words.first ?? "")) }
        let isLabelAlone = words.count == 1 && JobID(words[0]) == nil && JobOptions.configured != nil
        let job = isLabelAlone ? nil : words.first
        let label = (isLabelAlone ? words.first : words.dropFirst().first) ?? ""
        return (try await JobOptions.find(job, client), Name(label))
    }
}
