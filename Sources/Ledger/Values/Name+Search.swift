/// Searching in names: case-insensitive, otherwise exact.
///
/// Two scalars are the same letter if their simple lower-case mappings are equal (Unicode, section 3.13). Nothing is
/// normalised: a composed and a decomposed é are different. This is the only implementation of the rule. The database
/// receives a pattern with all variants of each letter, so its locale and its version of Unicode have no influence.
extension Name {
    /// Whether this name contains another text.
    public func contains(_ part: Name) -> Bool {
        let text = text.unicodeScalars.map(Self.folded)
        let part = part.text.unicodeScalars.map(Self.folded)
        guard part.count <= text.count else { return false }
        return (0...text.count - part.count).contains { text[$0..<$0 + part.count].elementsEqual(part) }
    }

    /// A PostgreSQL regular expression that matches all texts that contain this one.
    public var searchPattern: String {
        var pattern = ""
        for scalar in text.unicodeScalars {
            let variants = Self.variants(of: scalar)
            if variants.count > 1 {
                pattern += "["
                for variant in variants { pattern.unicodeScalars.append(variant) }
                pattern += "]"
            } else {
                // A backslash makes any character except a letter or a digit literal.
                if scalar.isASCII, !scalar.properties.isAlphabetic, scalar.properties.numericType == nil {
                    pattern += "\\"
                }
                pattern.unicodeScalars.append(scalar)
            }
        }
        return pattern
    }

    private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar.isASCII { return ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value | 0x20)) : scalar }
        guard scalar.properties.changesWhenLowercased else { return scalar }
        let mapping = scalar.properties.lowercaseMapping.unicodeScalars
        return mapping.count == 1 ? mapping.first ?? scalar : scalar
    }

    /// Returns all scalars of the same letter; only this one if it has no cases.
    private static func variants(of scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        let folded = folded(scalar)
        return [folded] + (upperCases[folded] ?? [])
    }

    /// The other scalars that fold to a scalar, by that scalar.
    ///
    /// There are about 1,400, found once in the planes that contain letters with case.
    private static let upperCases: [Unicode.Scalar: [Unicode.Scalar]] = {
        var found: [Unicode.Scalar: [Unicode.Scalar]] = [:]
        for value in UInt32(0)..<0x20000 {
            guard let scalar = Unicode.Scalar(value), case let lower = folded(scalar), lower != scalar else { continue }
            found[lower, default: []].append(scalar)
        }
        return found
    }()
}
