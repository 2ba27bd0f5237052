public import Ledger
internal import PQ

extension PostgresLedger {
    func excerpt(
        of job: JobID, after sequence: EventSequence, limit: Int
    ) async throws(StoreError) -> LedgerExcerpt? {
        try await refuseNewerSchema()
        let excerpt = try await attempting("exporting a job") { () throws(PQError) in
            try await ChainReader(pool: pool).excerpt(job, after: sequence, limit: limit)
        }
        if excerpt?.events.isEmpty ?? false { try await refuseRetired(job) }
        return excerpt
    }

    public func importExcerpt(_ excerpt: LedgerExcerpt) async throws(StoreError) -> ImportResult {
        guard let result = try await importExcerpt(excerpt, mapVersion: nil) else {
            throw StoreError(.corrupt, "importing a job: the ledger is a shard of another one", jobs: [excerpt.job])
        }
        return result
    }

    /// Verifies an excerpt from the creation of its job, without a database.
    static func verify(_ excerpt: LedgerExcerpt) async throws(StoreError) {
        do { try await Importer.verify(excerpt) } catch Importer.Refusal.invalid(let reason) {
            throw StoreError(.invalid, reason, jobs: [excerpt.job])
        } catch {
            throw StoreError(.corrupt, "importing a job: \(error)", jobs: [excerpt.job], cause: error)
        }
    }

    /// Imports an excerpt into a shard.
    ///
    /// - Parameter mapVersion: The version of the map that the shard must have; nil for no such condition.
    /// - Returns: nil if it has another one.
    func importExcerpt(
        _ excerpt: LedgerExcerpt, mapVersion: Int64?
    ) async throws(StoreError) -> ImportResult? {
        try await refuseNewerSchema()
        let result = try await importing(excerpt.job) {
            try await Importer(pool: pool, mapVersion: mapVersion).importExcerpt(excerpt)
        }
        if let result, result.appended > 0 { await eventsAppended([excerpt.job]) }
        return result
    }

    /// Checks that an excerpt could be imported into this shard now.
    ///
    /// Nothing is imported.
    func checkImport(_ excerpt: LedgerExcerpt) async throws(StoreError) {
        try await refuseNewerSchema()
        _ = try await importing(excerpt.job) { try await Importer(pool: pool).check(excerpt) }
    }

    /// Converts the errors of an import.
    ///
    /// - Returns: nil if the shard has another map, or no longer has the job.
    private func importing<R>(_ job: JobID, _ body: () async throws -> R) async throws(StoreError) -> R? {
        do { return try await body() } catch let refusal as Importer.Refusal {
            switch refusal {
            case .invalid(let reason): throw StoreError(.invalid, reason, jobs: [job])
            case .conflict(let reason): throw StoreError(.conflict, reason, jobs: [job])
            case .otherMap: return nil
            case .keyTaken:
                throw StoreError(.conflict, "another job in this ledger has the same key", jobs: [job])
            }
        } catch let error as PQError {
            throw StoreError(error, while: "importing a job")
        } catch {
            throw StoreError(.corrupt, "importing a job: \(error)", cause: error)
        }
    }
}
