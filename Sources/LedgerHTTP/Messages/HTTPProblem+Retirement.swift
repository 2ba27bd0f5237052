internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

extension HTTPProblem {
    /// The problem of a request about a retired job; nil for other errors.
    ///
    /// The response names the export only to administrators: its place may be confidential.
    static func retired(_ error: StoreError, for access: Access, _ service: any LedgerService) async -> HTTPProblem? {
        guard error.code == .retired || error.code == .incomplete, let job = error.jobs.first else { return nil }
        // A read may have begun before the job was retired, and then lacks events.
        let record: Retirement?
        do throws(StoreError) { record = try await service.retirement(of: job) } catch { record = nil }
        // Without the record, the response lacks only its details.
        guard let retirement = record else { return error.code == .retired ? HTTPProblem(error) : nil }
        var problem = HTTPProblem(
            .gone, "Job retired",
            "Job \(job) was retired at \(RFC3339.text(retirement.retiredAt)): its events were exported and removed from this "
                + "ledger. No more can be appended.")
        problem.paragraphs = """
            <p>\(PageTime.stated(retirement.retiredAt)): the events of this job were exported and removed from this ledger. \
            Its name, its key, its tags and the hash of its last event stay. Nothing more can be reported to it.</p>
            <p><code>\(job.description)</code></p>
            """
        problem.more = { writer in
            writer.field("job", job.description)
            writer.field("retired_at", RFC3339.text(retirement.retiredAt))
            guard access.permits(.admin) else { return }
            writer.name("export")
            writer.object { writer in
                writer.field("place", retirement.export.place)
                writer.field("sha256", retirement.export.sha256.description)
            }
        }
        return problem
    }

    /// Finds the error to respond with, for callers without a task.
    ///
    /// - Parameter whenDone: Called once, on the loop.
    static func resolve(
        _ error: StoreError, for access: Access, _ service: any LedgerService, on loop: any EventLoop,
        whenDone: @escaping @Sendable (any Error) -> Void
    ) {
        guard error.code == .retired else { return whenDone(error) }
        Task(name: "retired-job") {
            let problem = await retired(error, for: access, service)
            loop.execute {
                if let problem { whenDone(problem) } else { whenDone(error) }
            }
        }
    }
}
