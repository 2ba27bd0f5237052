import Ledger
import LedgerWire
import ProgressLedgerClient

/// The search for the job that a user means.
///
/// It is given by its id, its key, the beginning of its id, or `last`. A text with several meanings is never guessed.
enum JobSelector {
    /// The text that means the newest job.
    static let last = "last"
    /// The most candidates that a refusal lists.
    private static let listedMax = 10

    /// Finds the job for a command that only reads.
    ///
    /// An id costs no request, `last` one, and any other text two at most, of a page each.
    ///
    /// - Throws: ``CommandFailure`` if no job is meant, or several; it then lists them.
    static func find(_ text: String, _ client: LedgerClient) async throws -> JobID {
        if let job = JobID(text) { return job }
        if text == last {
            var newest = JobSearch()
            newest.limit = 1
            guard let job = try await client.jobs(newest).jobs.first else {
                throw CommandFailure(.notFound, "There is no job yet.")
            }
            return job.id
        }
        let keyed = try await Self.keyed(text, client)
        var found: [JobView] = []
        if let prefix = JobIDPrefix(text) { found = try await beginning(with: prefix, client) }
        if let keyed, !found.contains(where: { $0.id == keyed.id }) { found.insert(keyed, at: 0) }
        guard let first = found.first else {
            throw CommandFailure(
                .notFound, "No job has the key '\(VisibleText.escape(text))', or an id that begins so.")
        }
        guard found.count == 1 else { throw CommandFailure(.usage, refusal(of: text, found)) }
        return first.id
    }

    /// Finds the job for a command that changes it.
    ///
    /// Only a whole id or an exact key names it.
    ///
    /// An id costs no request, a key one.
    ///
    /// - Throws: ``CommandFailure`` if there is none.
    static func findExactly(_ text: String, _ client: LedgerClient) async throws -> JobID {
        if let job = JobID(text) { return job }
        guard let job = try await keyed(text, client) else {
            throw CommandFailure(
                .notFound,
                "No job has the key '\(VisibleText.escape(text))'. A command that changes a job takes its whole id or "
                    + "its exact key, neither 'last' nor the beginning of an id.")
        }
        return job.id
    }

    private static func keyed(_ key: String, _ client: LedgerClient) async throws -> JobView? {
        // A longer text is no key, and the server would refuse it.
        guard Limits.jobKeyLengths.contains(Name(key).scalarCount) else { return nil }
        var search = JobSearch()
        search.key = Name(key)
        return try await client.jobs(search).jobs.first
    }

    /// The newest jobs with ids that begin so, one more than a refusal lists.
    ///
    /// A list is in the order of the ids, so that one page contains them, whatever the number of jobs.
    private static func beginning(with prefix: JobIDPrefix, _ client: LedgerClient) async throws -> [JobView] {
        var search = JobSearch()
        search.limit = listedMax + 1
        search.cursor = prefix.cursor?.description
        return try await client.jobs(search).jobs.filter { prefix.matches($0.id) }
    }

    private static func refusal(of text: String, _ found: [JobView]) -> String {
        var table = Table([("", .whole), ("", .whole), ("", .whole), ("", .left), ("", .left)])
        for job in found.prefix(listedMax) {
            let key = job.description.key
            table.add([
                job.id.description, job.listedState, job.createdAt.textToTheSecond,
                job.description.name.text, key.map { "key \($0.text)" } ?? "",
            ])
        }
        let rest = found.count > listedMax ? "\n… and more" : ""
        return "'\(VisibleText.escape(text))' means several jobs. Give more of the id, or --key:\n"
            + table.lines.dropFirst().joined(separator: "\n") + rest
    }
}
