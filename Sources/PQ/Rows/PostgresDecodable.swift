/// A type that can be read from PostgreSQL's binary format.
public protocol PostgresDecodable: Sendable {
    /// Decodes a value of the PostgreSQL type with this object id.
    ///
    /// - Returns: The value, or nil if the type is another or the bytes are not a value of it.
    static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Self?
}

extension PostgresDecodable {
    static func decode(_ bytes: UnsafeRawBufferPointer, of type: TypeID) -> Self? {
        unsafe decode(bytes, typeID: type.rawValue)
    }
}

extension UnsafeRawBufferPointer {
    /// Decodes these bytes as a big-endian integer; nil if the length differs.
    func bigEndianInteger<Integer: FixedWidthInteger>(_ type: Integer.Type = Integer.self) -> Integer? {
        guard self.count == MemoryLayout<Integer>.size else { return nil }
        return unsafe Integer(bigEndian: loadUnaligned(as: Integer.self))
    }
}

extension Bool: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Bool? {
        guard typeID == TypeID.bool.rawValue, bytes.count == 1 else { return nil }
        return unsafe bytes[0] != 0
    }
}

/// Decodes an integer of two, four or eight bytes.
private func decodeInteger(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int64? {
    switch TypeID(rawValue: typeID) {
    case .int2: unsafe bytes.bigEndianInteger(Int16.self).map { Int64($0) }
    case .int4: unsafe bytes.bigEndianInteger(Int32.self).map { Int64($0) }
    case .oid, .xid: unsafe bytes.bigEndianInteger(UInt32.self).map { Int64($0) }
    case .int8: unsafe bytes.bigEndianInteger(Int64.self)
    default: nil
    }
}

extension Int16: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int16? {
        unsafe decodeInteger(bytes, typeID: typeID).flatMap { Int16(exactly: $0) }
    }
}

extension Int32: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int32? {
        unsafe decodeInteger(bytes, typeID: typeID).flatMap { Int32(exactly: $0) }
    }
}

extension Int64: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int64? {
        unsafe decodeInteger(bytes, typeID: typeID)
    }
}

/// Also decodes transaction ids (`xid`).
extension UInt32: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> UInt32? {
        unsafe decodeInteger(bytes, typeID: typeID).flatMap { UInt32(exactly: $0) }
    }
}

extension Int: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int? {
        unsafe decodeInteger(bytes, typeID: typeID).flatMap { Int(exactly: $0) }
    }
}

extension Int128: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Int128? {
        if typeID == TypeID.numeric.rawValue { return unsafe NumericCoding.decode(bytes) }
        return unsafe decodeInteger(bytes, typeID: typeID).map { Int128($0) }
    }
}

extension Double: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Double? {
        guard typeID == TypeID.float8.rawValue else { return nil }
        return unsafe bytes.bigEndianInteger(UInt64.self).map { Double(bitPattern: $0) }
    }
}

extension String: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> String? {
        switch TypeID(rawValue: typeID) {
        case .text, .varchar, .bpchar, .name, .json, .unknown:
            return unsafe String(validating: bytes, as: UTF8.self)
        case .jsonb:
            guard unsafe bytes.first == 1 else { return nil }
            return unsafe String(validating: UnsafeRawBufferPointer(rebasing: bytes.dropFirst()), as: UTF8.self)
        default:
            return nil
        }
    }
}

extension UUIDBytes: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> UUIDBytes? {
        guard typeID == TypeID.uuid.rawValue, bytes.count == 16 else { return nil }
        return unsafe UUIDBytes(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}

extension TimestampMicroseconds: PostgresDecodable {
    /// Decodes a timestamp; nil for infinite ones, which have no microseconds.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> TimestampMicroseconds? {
        guard typeID == TypeID.timestamptz.rawValue, let value = unsafe bytes.bigEndianInteger(Int64.self),
            value != .max, value != .min
        else { return nil }
        let (sum, overflow) = value.addingReportingOverflow(epochDistance)
        return overflow ? nil : TimestampMicroseconds(microsecondsSince1970: sum)
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Wrapped?? {
        unsafe Wrapped.decode(bytes, typeID: typeID).map { .some($0) }
    }
}

/// Decodes `bytea` as bytes, and an array of at most one dimension as its elements.
///
/// NULL elements require an optional element type.
extension Array: PostgresDecodable where Element: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> [Element]? {
        if typeID == TypeID.bytea.rawValue {
            // `[Element]` is `[UInt8]` here; a cast would check it byte by byte.
            return Element.self == UInt8.self ? unsafe unsafeBitCast(Array<UInt8>(bytes), to: [Element].self) : nil
        }
        return unsafe decodeElements(bytes)
    }

    /// Decodes the elements in the format of `array_send`.
    ///
    /// The format is: the number of dimensions, whether NULLs exist, the element type; for each dimension its length
    /// and lower bound; for each element its length (-1 for NULL) and bytes.
    private static func decodeElements(_ bytes: UnsafeRawBufferPointer) -> [Element]? {
        var position = 0
        func word() -> Int32? {
            guard position + 4 <= bytes.count else { return nil }
            defer { position += 4 }
            return unsafe Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self))
        }
        guard let dimensions = word(), word() != nil, let elementType = word() else { return nil }
        if dimensions == 0 { return [] }
        guard dimensions == 1, let count = word(), word() != nil, count >= 0, Int(count) <= bytes.count else {
            return nil
        }
        var elements: [Element] = []
        elements.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let length = word() else { return nil }
            if length < 0 {
                guard let null = (Element.self as? any NullDecodable.Type)?.null as? Element else { return nil }
                elements.append(null)
                continue
            }
            guard position + Int(length) <= bytes.count else { return nil }
            let slice = unsafe UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(length)])
            guard let element = unsafe Element.decode(slice, typeID: UInt32(bitPattern: elementType)) else {
                return nil
            }
            elements.append(element)
            position += Int(length)
        }
        return position == bytes.count ? elements : nil
    }
}

extension UInt8: PostgresDecodable {
    /// Returns nil: PostgreSQL has no type of one byte, only of bytes (`bytea`).
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> UInt8? { nil }
}

/// A type that has a value for NULL.
private protocol NullDecodable {
    static var null: Self { get }
}

extension Optional: NullDecodable {
    static var null: Wrapped? { nil }
}
