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
        try await refuseNewerSchema()
        let result: ImportResult
        do {
            result = try await Importer(pool: pool).importExcerpt(excerpt)
        } catch let refusal as Importer.Refusal {
            switch refusal {
            case .invalid(let reason): throw StoreError(.invalid, reason, jobs: [excerpt.job])
            case .conflict(let reason): throw StoreError(.conflict, reason, jobs: [excerpt.job])
            case .keyTaken:
                throw StoreError(.conflict, "another job in this ledger has the same key", jobs: [excerpt.job])
            }
        } catch let error as PQError {
            throw StoreError(error, while: "importing a job")
        } catch {
            throw StoreError(.corrupt, "importing a job: \(error)", cause: error)
        }
        if result.appended > 0 { await eventsAppended([excerpt.job]) }
        return result
    }
}
