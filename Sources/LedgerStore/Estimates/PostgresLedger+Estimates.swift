public import Ledger
internal import PQ

extension PostgresLedger {
    public func trackRecord(of name: Name, within confinement: Confinement) async throws(StoreError) -> TrackRecord {
        // A caller that may use one job learns nothing about others.
        guard confinement.job == nil else { return TrackRecord() }
        let group = RunSummaryStore.Group(
            history: JobDescription.history(ofName: name), tags: confinement.tags.mapValues { $0 })
        return try await attempting("reading a track record") { () throws(PQError) in
            try await summaries.record(of: group)
        }
    }
}
