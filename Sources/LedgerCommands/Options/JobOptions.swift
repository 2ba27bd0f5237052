import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient

/// The job that a question is about: by its id or by its key.
struct JobOptions: ParsableArguments {
    @Argument(help: "The job's id. Else PROGRESS_LEDGER_JOB.")
    var job: String?

    @Option(help: "The job's key, instead of its id.")
    var key: String?

    func validate() throws {
        guard job == nil || key == nil else { throw ValidationError("Give the job's id or its --key, not both.") }
    }

    /// The job's id, for which a key costs a request.
    func resolve(_ client: LedgerClient) async throws -> JobID {
        if let key { return try await Self.find(key: key, client) }
        return try Self.parse(job)
    }

    /// An id, from the command line or the environment.
    static func parse(_ given: String?) throws(CommandFailure) -> JobID {
        let variable = Setting.job.variable
        guard let text = given ?? ProcessInfo.processInfo.environment[variable], !text.isEmpty else {
            throw CommandFailure(.usage, "Which job? Give its id, or set \(variable).")
        }
        guard let job = JobID(text) else {
            throw CommandFailure(
                .usage, "'\(text)' is no id of a job, which looks like 0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192.")
        }
        return job
    }

    /// The id of the job that has this key.
    static func find(key: String, _ client: LedgerClient) async throws -> JobID {
        var search = JobSearch()
        search.key = Name(key)
        guard let job = try await client.jobs(search).jobs.first else {
            throw CommandFailure(.notFound, "No job has the key '\(key)'.")
        }
        return job.id
    }
}
