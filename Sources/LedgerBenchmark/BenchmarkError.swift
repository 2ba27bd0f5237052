/// The failure of a benchmark: a failed operation, or an error in a final check.
public struct BenchmarkError: Error, CustomStringConvertible {
    /// The cause of the failure.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
