public import Ledger

/// Amounts of units for people: `120 tiles`, `1.5 GiB`.
///
/// Amounts in `bytes` are scaled by powers of 1,024, with the prefixes of IEC 80000-13 (`KiB`, `MiB`, …), which mean
/// nothing else. They have one digit after the point and are rounded down, so that unfinished work never looks
/// finished. Other units are never scaled. JSON always contains the exact numbers.
public enum UnitText {
    private static let prefixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]

    /// Whether amounts of this unit are scaled.
    public static func isScaled(_ unit: Name?) -> Bool { unit == "bytes" }

    /// An amount of bytes, such as `1.5 GiB`, or `512 B` below 1,024.
    public static func bytes(_ value: Int128) -> String {
        guard value.magnitude >= 1_024 else { return "\(value) B" }
        var scale: UInt128 = 1_024
        var index = 0
        while value.magnitude / scale >= 1_024, index < prefixes.count - 1 {
            scale *= 1_024
            index += 1
        }
        let tenths = value.magnitude / scale * 10 + value.magnitude % scale * 10 / scale
        return "\(value < 0 ? "-" : "")\(tenths / 10).\(tenths % 10) \(prefixes[index])B"
    }

    /// An amount without its unit: scaled bytes, or the text of `number`.
    public static func amount(
        _ value: Int128, of unit: Name?, number: (Int128) -> String = { String($0) }
    ) -> String {
        isScaled(unit) ? bytes(value) : number(value)
    }

    /// The name of a unit behind its amount, with a space.
    ///
    /// Empty without a unit, and for bytes.
    public static func suffix(_ unit: Name?) -> String {
        guard let unit, !isScaled(unit) else { return "" }
        return " \(unit.text)"
    }

    /// The units done and declared: `120/500 tiles`, `1.0 GiB/1.5 GiB`.
    public static func progress(
        _ units: Units, of unit: Name?, number: (Int128) -> String = { String($0) }
    ) -> String {
        "\(amount(units.done, of: unit, number: number))/\(amount(units.total, of: unit, number: number))\(suffix(unit))"
    }
}

extension Name {
    /// The first line of a message, with `…` if there are more.
    public var firstLine: String {
        guard let end = text.unicodeScalars.firstIndex(of: "\n") else { return text }
        return String(text.unicodeScalars[..<end]) + " …"
    }
}
