internal import FoundationEssentials
internal import LedgerWire

/// The parts of a JSON Web Token, not verified.
///
/// The text is in the compact form of RFC 7515, section 7.1.
struct JWTText {
    /// The algorithm that the token states.
    let algorithm: String
    /// The id of the key; nil if the token states none.
    let keyID: String?
    let claims: JSONValue
    /// The claims as sent.
    let claimsData: Data
    /// The bytes that are signed.
    let signedBytes: Data
    let signature: Data

    /// The maximum length in bytes.
    static let bytesMax = 8_192

    init(_ text: String) throws(JWTRefusal) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.bytesMax, parts.count == 3, let header = Base64URL.decode(parts[0]),
            let claims = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]),
            let headerValue = Self.object(header), let claimsValue = Self.object(claims),
            // Extensions that must be understood: RFC 7515, section 4.1.11. None is.
            headerValue["crit"] == nil, let algorithm = headerValue["alg"]?.text
        else { throw .malformed }
        switch headerValue["kid"] {
        case nil: keyID = nil
        case .string(let id): keyID = id
        default: throw .malformed
        }
        self.algorithm = algorithm
        self.claims = claimsValue
        self.signature = signature
        claimsData = claims
        signedBytes = Data(text.utf8[..<parts[1].endIndex])
    }

    /// Parses an object without repeated fields.
    ///
    /// Two parsers may read different values of a repeated field.
    private static func object(_ data: Data) -> JSONValue? {
        let value: JSONValue
        // The refusal of a text that is not JSON names no more than that.
        do throws(JSONError) { value = try JSONReader.read(Array(data)) } catch { return nil }
        guard case .object = value, !hasRepetition(value) else { return nil }
        return value
    }

    private static func hasRepetition(_ value: JSONValue) -> Bool {
        switch value {
        case .object(let fields):
            Set(fields.map { Array($0.name.utf8) }).count < fields.count
                || fields.contains { hasRepetition($0.value) }
        case .array(let elements): elements.contains(where: hasRepetition)
        default: false
        }
    }

    /// The claims about time, in seconds since 1970-01-01T00:00:00Z.
    ///
    /// They may have fractions.
    private struct Times: Decodable {
        let exp: Double
        let nbf: Double?
    }

    /// Returns the expiry, and the beginning of the validity if there is one.
    func times() throws(JWTRefusal) -> (expiry: Double, beginning: Double?) {
        let times: Times
        do { times = try JSONDecoder().decode(Times.self, from: claimsData) } catch { throw .times }
        return (times.exp, times.nbf)
    }
}
