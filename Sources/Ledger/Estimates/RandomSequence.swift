/// A reproducible sequence of random numbers.
///
/// SplitMix64 (Steele, Lea, Flood, 2014).
struct RandomSequence {
    private var state: UInt64

    /// Creates the sequence of a seed.
    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x123_4567
    }

    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number above 0 and below 1.
    mutating func uniform() -> Double {
        (Double(next() >> 11) + 0.5) * 0x1p-53
    }

    /// A standard normal number.
    mutating func normal() -> Double { uniform().normalQuantile }

    /// An integer from 0 to `count` − 1.
    mutating func index(below count: Int) -> Int { Swift.min(count - 1, Int(uniform() * Double(count))) }
}
