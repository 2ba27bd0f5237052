import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Prove that a job's events are as they were recorded, or say what was changed.",
        discussion: """
            The server recomputes the hash chain from the events and compares it with the hashes that are stored, with \
            the head of the job and with its description. With --all it does so for every job, newest first, and tells \
            on standard error where it is; --cursor takes up an interrupted run there. Ends with code 8 where anything \
            is not as it was recorded.
            """)

    @OptionGroup var job: JobOptions

    @Flag(help: "Every job instead of one.")
    var all = false

    @Option(help: "With --all: begin at this page, which an interrupted run has told.")
    var cursor: String?

    @Flag(help: "Print JSON as the server gives it, a line for each job.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard !all || job.job == nil && job.key == nil else { throw ValidationError("Give one job, or --all.") }
        guard all || cursor == nil else { throw ValidationError("--cursor belongs to --all.") }
    }

    func run() async throws {
        let client = try server.client()
        guard all else {
            let isWhole = try await verify(try await job.resolve(client), client)
            if !isWhole { throw CommandFailure(.notWhole, "The ledger of the job is not as it was recorded.") }
            return
        }
        try await verifyAll(client)
    }

    private func verifyAll(_ client: LedgerClient) async throws {
        var search = JobSearch()
        search.limit = 100
        search.cursor = cursor
        var (checked, damaged) = (0, 0)
        repeat {
            let page = try await client.jobs(search)
            for job in page.jobs where !(try await verify(job.id, client)) { damaged += 1 }
            checked += page.jobs.count
            search.cursor = page.nextCursor
            let next = page.nextCursor.map { "; go on with --cursor \(VisibleText.escape($0))" } ?? ""
            Console.standard.note("\(checked) jobs checked, \(damaged) not as they were recorded\(next)")
        } while search.cursor != nil
        guard damaged == 0 else {
            throw CommandFailure(.notWhole, "\(damaged) of \(checked) jobs are not as they were recorded.")
        }
    }

    /// Whether the job's ledger is whole; says so.
    private func verify(_ job: JobID, _ client: LedgerClient) async throws -> Bool {
        let (answer, document) = try await client.askForJSON(.verify(job), as: VerificationAnswer.self)
        if json {
            Console.standard.print(document)
        } else if let fault = answer.verification.fault {
            Console.standard.print("\(job)  \(fault.kind) at \(fault.sequence): \(VisibleText.escape(fault.detail))")
        } else {
            Console.standard.print("\(job)  whole through \(answer.verification.sequence)")
        }
        return answer.verification.isWhole
    }
}
