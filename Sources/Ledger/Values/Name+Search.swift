/// How names are searched: a part of a name is found whatever the case of its letters, and otherwise exactly.
///
/// Two scalars are the same letter if their simple lower-case mappings are equal (Unicode, section 3.13). Nothing is
/// normalised: a composed and a decomposed é are different. The rule is here alone: the database gets it as a pattern that
/// spells out the letters, so its locale and its version of Unicode play no part.
extension Name {
    /// Whether another text is a part of this one.
    public func contains(_ part: Name) -> Bool {
        let text = text.unicodeScalars.map(Self.folded)
        let part = part.text.unicodeScalars.map(Self.folded)
        guard part.count <= text.count else { return false }
        return (0...text.count - part.count).contains { text[$0..<$0 + part.count].elementsEqual(part) }
    }

    /// A regular expression of PostgreSQL that matches the texts which contain this one.
    public var searchPattern: String {
        var pattern = ""
        for scalar in text.unicodeScalars {
            let variants = Self.variants(of: scalar)
            if variants.count > 1 {
                pattern += "["
                for variant in variants { pattern.unicodeScalars.append(variant) }
                pattern += "]"
            } else {
                // A backslash makes any character but a letter or a digit stand for itself.
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

    /// All scalars that are the same letter; this one alone if it is none of two cases.
    private static func variants(of scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        let folded = folded(scalar)
        return [folded] + (upperCases[folded] ?? [])
    }

    /// The scalars that fold to each, other than itself. Some 1,400, found once among the planes that have letters of two
    /// cases.
    private static let upperCases: [Unicode.Scalar: [Unicode.Scalar]] = {
        var found: [Unicode.Scalar: [Unicode.Scalar]] = [:]
        for value in UInt32(0)..<0x20000 {
            guard let scalar = Unicode.Scalar(value), case let lower = folded(scalar), lower != scalar else { continue }
            found[lower, default: []].append(scalar)
        }
        return found
    }()
}
