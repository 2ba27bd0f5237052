/// A number with its noun, such as `1 job` or `2 jobs`.
struct Count: CustomStringConvertible {
    private let number: Int64
    private let noun: String

    /// - Parameter noun: A noun with a regular plural, in the singular.
    init(_ number: some BinaryInteger, _ noun: String) {
        self.number = Int64(number)
        self.noun = noun
    }

    var description: String { number == 1 ? "1 \(noun)" : "\(number) \(noun)s" }
}
