/// The supported versions of PostgreSQL, and all differences that matter here.
///
/// The numbers are those of `server_version_num`. `Scripts/test --versions` tests every supported version. The rest of
/// the code does not depend on the version.
enum PostgresVersion {
    /// The oldest supported version.
    ///
    /// 13 no longer gets corrections, and lacks functions that the ledger uses.
    static let oldest = 140_000
    /// The first version with options of each grant: `admin`, `inherit`, `set`.
    ///
    /// Since then CREATEROLE concerns only the roles for which its holder has the admin option, and a member of a role
    /// may lack the right to take it.
    static let grantOptions = 160_000
    /// The first version with `transaction_timeout`.
    static let transactionTimeout = 170_000
}
