internal import Ledger
internal import PQ

/// The columns of a retirement.
enum RetirementRow {
    static let columns = """
        retirement.job_id, retirement.sequence, retirement.hash, retirement.export_sha256, retirement.export_place,
        retirement.retired_at, retirement.retired_by
        """
    private static let columnCount = 7

    /// Reads the record of a job's retirement, or `nil` if the job was not retired.
    static func read(_ job: JobID, on pool: Pool) async throws(PQError) -> Retirement? {
        let rows = try await pool.query(
            Query("select \(columns) from ledger.retirement where job_id = $1", [.uuid(job.uuid)]))
        guard var columns = rows.first?.columns else { return nil }
        return try decodeIfPresent(&columns)
    }

    /// Decodes the next columns; nil if they are null.
    static func decodeIfPresent(_ columns: inout RowColumns) throws(PQError) -> Retirement? {
        guard let job = try columns.nextIfPresent(JobID.self) else {
            columns.skip(columnCount - 1)
            return nil
        }
        return Retirement(
            job: job, position: ChainPosition(sequence: try columns.next(), hash: try columns.next()),
            export: Retirement.Export(sha256: try columns.next(), place: try columns.next()),
            retiredAt: try columns.next(), retiredBy: try columns.next())
    }
}
