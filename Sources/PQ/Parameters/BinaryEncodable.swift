/// A value that can be sent as a parameter, alone or in an array.
protocol BinaryEncodable {
    static var typeID: TypeID { get }
    func encode(into bytes: inout [UInt8])
}

extension [UInt8] {
    mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
    }
}

extension Bool: BinaryEncodable {
    static var typeID: TypeID { .bool }
    func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }
}

extension Int16: BinaryEncodable {
    static var typeID: TypeID { .int2 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Int32: BinaryEncodable {
    static var typeID: TypeID { .int4 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Int64: BinaryEncodable {
    static var typeID: TypeID { .int8 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Double: BinaryEncodable {
    static var typeID: TypeID { .float8 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(bitPattern) }
}

extension String: BinaryEncodable {
    static var typeID: TypeID { .text }
    func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }
}

extension UUIDBytes: BinaryEncodable {
    static var typeID: TypeID { .uuid }
    func encode(into bytes: inout [UInt8]) {
        bytes.appendBigEndian(high)
        bytes.appendBigEndian(low)
    }
}

extension TimestampMicroseconds: BinaryEncodable {
    static var typeID: TypeID { .timestamptz }
    func encode(into bytes: inout [UInt8]) {
        bytes.appendBigEndian(microsecondsSince1970 - Self.epochDistance)
    }
}

extension Int128: BinaryEncodable {
    static var typeID: TypeID { .numeric }
    func encode(into bytes: inout [UInt8]) { NumericCoding.encode(self, into: &bytes) }
}
