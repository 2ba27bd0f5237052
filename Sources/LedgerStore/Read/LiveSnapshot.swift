/// The join with live snapshots in statements that look up a few jobs.
///
/// A plain join may be planned as a walk through all live snapshots, if the tables were analyzed while they were empty.
public enum LiveSnapshot {
    /// Joins the snapshot as `snapshot`, with its columns and `xmin`.
    ///
    /// All are null if the snapshot is missing.
    ///
    /// - Parameter job: The expression for the job's id, such as `head.job_id`.
    public static func join(of job: String) -> String {
        """
        left join lateral (
            select found.*, found.xmin from ledger.snapshot as found
            where found.job_id = \(job) and found.is_live
            order by found.projection
            limit 1
        ) as snapshot on true
        """
    }
}
