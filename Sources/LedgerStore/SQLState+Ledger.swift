package import PQ

extension SQLState {
    /// A row is not as it was read before: raised by `ledger.fail_stale()`.
    package static let staleWrite = SQLState(rawValue: "LG004")
    /// Jobs cannot be retired: raised by `ledger.retire_jobs()`.
    package static let retirementRefused = SQLState(rawValue: "LG005")
}
