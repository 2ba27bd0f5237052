/// Why a benchmark cannot say anything: something did not work, or a number that it ends with is wrong.
public struct BenchmarkError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
