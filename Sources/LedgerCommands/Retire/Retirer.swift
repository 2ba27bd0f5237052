import Ledger
import LedgerStore

/// Retires jobs and months step by step.
///
/// It can be interrupted at any point and repeated: the database and the folder contain the whole state.
struct Retirer {
    let store: RetirementStore
    let folder: RetirementFolder
    /// The number of the shard; nil for one database.
    ///
    /// It is a part of the names of exports of months.
    var shard: Int?
    /// Called before each step. An error stops before it.
    var willStep: (MonthRetirement.Step) async throws -> Void = { _ in }

    /// The maximum number of steps of a month; more mean that steps have no effect.
    private static let stepsMax = 20

    /// The result of a retirement.
    struct Result {
        /// The number of jobs that were recorded as retired.
        var jobs = 0
        /// The exports that contain them, and the files.
        var files: [RetirementFolder.File] = []
    }

    // MARK: One job

    /// Retires a job: exports it, records it, and deletes its events.
    ///
    /// - Returns: Nil if it was retired before.
    /// - Throws: ``CommandFailure`` if the job has not ended. Unless only an export is wanted, no file is written then.
    func retire(_ job: JobID, exportsOnly: Bool) async throws -> Result? {
        guard let head = try await store.head(of: job) else {
            throw CommandFailure(.notFound, "There is no job \(job).")
        }
        guard try await store.retirement(of: job) == nil else { return nil }
        if !exportsOnly, let unfinished = try await store.obstacle(to: job) {
            throw CommandFailure(.refused, "Nothing was retired: job \(job) \(unfinished.reason).")
        }
        try await willStep(.export)
        let file = try await export("progress-ledger-\(job)", [head]) { $0 == nil ? [head] : [] }
        guard !exportsOnly else { return Result(jobs: 0, files: [file]) }
        try await willStep(.record)
        try await record([(job, file.heads[job])], file, deletesEvents: true)
        return Result(jobs: 1, files: [file])
    }

    // MARK: A month

    /// Retires the jobs of a month, and removes their events from the ledger.
    ///
    /// - Parameters:
    ///   - drops: Whether the removed table is deleted.
    ///   - exportsOnly: Whether it stops after the export.
    /// - Throws: ``CommandFailure`` if the month is not over, or if not all of its jobs have ended.
    func retire(_ month: Month, drops: Bool, exportsOnly: Bool) async throws -> Result {
        guard try await month <= store.lastMonth() else {
            throw CommandFailure(.refused, "\(month) is not over. A month can be retired a day after its end.")
        }
        var result = Result()
        for _ in 0..<Self.stepsMax {
            let storage = try await store.storage(of: month)
            guard let step = storage.nextStep(drops: drops) else { return result }
            guard !exportsOnly || [.export, .attach, .finishDetaching].contains(step) else { return result }
            try await willStep(step)
            switch step {
            case .export, .record:
                try await refuseUnfinished(month)
                let file = try await export(month)
                result.files.append(file)
                guard !exportsOnly else { return result }
                try await willStep(.record)
                result.jobs += try await record(month, file)
            case .detach: try await store.detach(month)
            case .finishDetaching: try await store.finishDetaching(month)
            case .attach: try await store.attach(month)
            case .setAside:
                guard !storage.hasSetAside else {
                    throw CommandFailure(
                        .refused,
                        "Another table with events of \(month) has not been dropped yet. Run this command with --drop.")
                }
                try await store.setAside(month)
            case .drop:
                try await checkExports(of: month)
                try await store.drop(month)
            }
        }
        throw CommandFailure(.failed, "\(month) cannot be retired: its jobs change all the time. Try again later.")
    }

    private func refuseUnfinished(_ month: Month) async throws {
        let (first, count) = try await store.unfinishedJobs(of: month)
        guard count > 0 else { return }
        let lines = first.map { "\n  job \($0.job) \($0.reason)" }.joined()
        let more = count > Int64(first.count) ? "\n  and \(count - Int64(first.count)) more" : ""
        throw CommandFailure(
            .refused, "\(month) is not retired, because \(Count(count, "job")) must end first:\(lines)\(more)")
    }

    private func export(_ month: Month) async throws -> RetirementFolder.File {
        var heads: [LedgerHead] = []
        var page: [LedgerHead]
        repeat {
            page = try await openJobs(of: month, after: heads.last?.job)
            heads += page
        } while !page.isEmpty
        let store = store
        return try await export(name(of: month), heads) { cursor in
            try await store.openJobs(of: month, after: cursor, limit: RetirementStore.jobsPerTransactionMax)
        }
    }

    private func name(of month: Month) -> String {
        "progress-ledger-\(month)" + (shard.map { "-shard-\($0)" } ?? "")
    }

    private func openJobs(of month: Month, after cursor: JobID?) async throws -> [LedgerHead] {
        try await store.openJobs(of: month, after: cursor, limit: RetirementStore.jobsPerTransactionMax)
    }

    /// Finds or writes an export.
    private func export(
        _ name: String, _ heads: [LedgerHead], _ pages: (JobID?) async throws -> [LedgerHead]
    ) async throws -> RetirementFolder.File {
        if let file = try folder.find(name, containing: heads) { return file }
        return try await folder.write(name, from: store, pages)
    }

    /// Records the jobs of a month that are in an export.
    ///
    /// - Returns: The number of jobs.
    private func record(_ month: Month, _ file: RetirementFolder.File) async throws -> Int {
        var count = 0
        var cursor: JobID?
        while true {
            let jobs = try await openJobs(of: month, after: cursor)
            guard let last = jobs.last else { return count }
            // A job that was imported since the export was written waits for the next one.
            let exported = jobs.filter { file.heads[$0.job] != nil }
            try await record(exported.map { ($0.job, file.heads[$0.job]) }, file, deletesEvents: false)
            count += exported.count
            cursor = last.job
        }
    }

    private func record(
        _ jobs: [(job: JobID, position: ChainPosition?)], _ file: RetirementFolder.File, deletesEvents: Bool
    ) async throws {
        let exported = jobs.compactMap { job in job.position.map { (job: job.job, position: $0) } }
        guard !exported.isEmpty else { return }
        do throws(StoreError) {
            try await store.retire(exported, in: file.export, deletesEvents: deletesEvents)
        } catch {
            guard error.code == .conflict else { throw error }
            throw CommandFailure(.refused, "Nothing was retired by this step: \(error.message).")
        }
    }

    /// Checks that the folder contains the recorded files with the events.
    private func checkExports(of month: Month) async throws {
        for export in try await store.exports(of: month)
        where try folder.find(name(of: month), export) == nil && folder.find("progress-ledger-\(month)", export) == nil
        {
            throw CommandFailure(
                .refused,
                "Nothing was dropped: \(folder.path) contains no export of \(month) with the SHA-256 "
                    + "\(export.sha256), which was recorded for \(export.place). Copy it there, or give another --folder."
            )
        }
    }
}
