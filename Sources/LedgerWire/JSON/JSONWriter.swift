/// A JSON encoder that writes fields in the order of the calls.
///
/// Integers of any size are written as integers. Strings are escaped no more than the grammar requires, except DEL.
public struct JSONWriter: Sendable {
    /// The bytes written so far.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init() {}

    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        begin(UInt8(ascii: "{"))
        body(&self)
        end(UInt8(ascii: "}"))
    }

    public mutating func array<Element>(_ elements: some Sequence<Element>, _ body: (inout JSONWriter, Element) -> Void)
    {
        begin(UInt8(ascii: "["))
        for element in elements { body(&self, element) }
        end(UInt8(ascii: "]"))
    }

    /// Writes the name of a field; the next call writes its value.
    public mutating func name(_ name: String) {
        separate()
        writeString(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func string(_ text: String?) {
        guard let text else { return null() }
        separate()
        writeString(text)
        needsComma = true
    }

    public mutating func integer(_ value: (some BinaryInteger)?) {
        guard let value else { return null() }
        raw(String(value))
    }

    /// Writes an integer of the usual size, without a text in between.
    public mutating func integer(_ value: Int64?) {
        guard let value else { return null() }
        separate()
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
        needsComma = true
    }

    /// Writes a number in the shortest form that reads back as the same value.
    ///
    /// Writes null if it is not finite.
    public mutating func number(_ value: Double?) {
        guard let value, value.isFinite else { return null() }
        raw("\(value)")
    }

    public mutating func bool(_ value: Bool) {
        raw(value ? "true" : "false")
    }

    public mutating func null() {
        raw("null")
    }

    public mutating func field(_ name: String, _ text: String?) {
        self.name(name)
        string(text)
    }

    public mutating func field(_ name: String, _ value: (some BinaryInteger)?) {
        self.name(name)
        integer(value)
    }

    public mutating func field(_ name: String, _ value: Int64?) {
        self.name(name)
        integer(value)
    }

    public mutating func field(_ name: String, _ value: Double?) {
        self.name(name)
        number(value)
    }

    public mutating func field(_ name: String, _ value: Bool) {
        self.name(name)
        bool(value)
    }

    /// Writes a value that is JSON already, such as a constant of the program.
    public mutating func json(_ text: String) {
        raw(text)
    }

    /// Writes the line feed between two lines of NDJSON.
    public mutating func newLine() {
        bytes.append(0x0A)
        needsComma = false
    }

    private mutating func raw(_ text: String) {
        separate()
        bytes.append(contentsOf: text.utf8)
        needsComma = true
    }

    private mutating func begin(_ byte: UInt8) {
        separate()
        bytes.append(byte)
        needsComma = false
    }

    private mutating func end(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }

    private mutating func writeString(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        defer { bytes.append(UInt8(ascii: "\"")) }
        // Most texts need no escapes, and are copied at once.
        guard text.utf8.contains(where: Self.isEscaped) else { return bytes.append(contentsOf: text.utf8) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x0A: bytes.append(contentsOf: "\\n".utf8)
            case 0x0D: bytes.append(contentsOf: "\\r".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(Self.digits[Int(byte >> 4)])
                bytes.append(Self.digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    private static let digits = Array("0123456789abcdef".utf8)
}
