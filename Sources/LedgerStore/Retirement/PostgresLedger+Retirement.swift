public import Ledger
internal import PQ

extension PostgresLedger {
    public func retirement(of job: JobID) async throws(StoreError) -> Retirement? {
        try await attempting("reading a retirement") { () throws(PQError) in
            try await RetirementRow.read(job, on: pool)
        }
    }

    /// Throws ``StoreError/Code/retired`` if the job was retired.
    func refuseRetired(_ job: JobID) async throws(StoreError) {
        guard try await retirement(of: job) == nil else { throw .retired([job]) }
    }
}
