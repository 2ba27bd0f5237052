internal import HTTPTypes

/// The media types that a client accepts: the field `Accept`.
///
/// See RFC 9110, section 12.5.1.
struct AcceptedTypes {
    /// An element of the field, such as `text/*; q=0.5`.
    private struct Range {
        let type: Substring
        let subtype: Substring
        /// The weight in thousandths.
        let quality: Int

        /// Nil for an element that is not a media range.
        init?(_ element: Substring) {
            let parts = element.split(separator: ";", omittingEmptySubsequences: false)
            let names = parts[0].trimmed.split(separator: "/", omittingEmptySubsequences: false)
            guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty else { return nil }
            (type, subtype) = (names[0], names[1])
            var quality = 1_000
            for parameter in parts.dropFirst() where parameter.trimmed.hasPrefix("q=") {
                guard let weight = Self.thousandths(parameter.trimmed.dropFirst(2)) else { return nil }
                quality = weight
            }
            self.quality = quality
        }

        /// Parses a weight: 0 to 1 with at most three decimals; nil for anything else.
        private static func thousandths(_ text: Substring) -> Int? {
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard let whole = parts.first, whole == "0" || whole == "1" else { return nil }
            let decimals = parts.count > 1 ? parts[1] : ""
            guard decimals.utf8.count <= 3, decimals.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            let padded = decimals + String(repeating: "0", count: 3 - decimals.utf8.count)
            guard let thousandths = Int(padded), whole == "0" || thousandths == 0 else { return nil }
            return whole == "1" ? 1_000 : thousandths
        }

        /// How exactly it names a media type; nil if it does not include it.
        func specificity(of type: Substring, _ subtype: Substring) -> Int? {
            if self.type == type, self.subtype == subtype { return 2 }
            if self.type == type, self.subtype == "*" { return 1 }
            return self.type == "*" && self.subtype == "*" ? 0 : nil
        }
    }

    private let ranges: [Range]

    /// Parses the field. An element that is not a media range is ignored.
    init(_ fields: HTTPFields) {
        ranges = fields[values: .accept].flatMap { $0.lowercased().split(separator: ",") }.compactMap { Range($0) }
    }

    /// Whether a client prefers a media type, such as `text/plain`, to the usual one.
    ///
    /// It must name the type, or all of its kind: `*/*` does not. The range that names a type most exactly gives its
    /// weight.
    ///
    /// - Parameter wins: Whether the type is preferred at equal weights. If not, the one that is named first is.
    func prefers(_ mediaType: String, to usual: String, atEqualWeights wins: Bool = false) -> Bool {
        guard let wanted = match(mediaType), wanted.specificity > 0, wanted.range.quality > 0 else { return false }
        guard let other = match(usual) else { return true }
        if wanted.range.quality != other.range.quality { return wanted.range.quality > other.range.quality }
        return wins || wanted.index < other.index || other.specificity == 0
    }

    private func match(_ mediaType: String) -> (index: Int, range: Range, specificity: Int)? {
        let names = mediaType.split(separator: "/")
        var best: (index: Int, range: Range, specificity: Int)?
        for (index, range) in ranges.enumerated() {
            guard let specificity = range.specificity(of: names[0], names[1]), specificity > best?.specificity ?? -1
            else { continue }
            best = (index, range, specificity)
        }
        return best
    }
}

extension Substring {
    /// The text without spaces and tabs at its ends.
    fileprivate var trimmed: Substring {
        let start = drop { $0 == " " || $0 == "\t" }
        return start.lastIndex { $0 != " " && $0 != "\t" }.map { start[...$0] } ?? ""
    }
}

extension HTTPFields {
    /// The field by which caches learn that `Accept` chose the response.
    static var varyByAccept: HTTPFields { [.vary: "Accept"] }
}
