/// A parser of HTTP responses with a `Content-Length`.
///
/// All measured routes send such responses.
struct ResponseParser {
    struct Found {
        let status: Int
        let etag: String?
        let body: Range<Int>
        let end: Int
    }

    /// The response at the start of the bytes; nil while it is incomplete.
    static func find(in bytes: [UInt8]) throws -> Found? {
        guard let head = endOfHead(bytes) else { return nil }
        guard head > 12, bytes[8] == UInt8(ascii: " ") else { throw BenchmarkError("the response is not HTTP") }
        let status = bytes[9..<12].reduce(0) { $0 * 10 + Int($1 &- 48) }
        var length = 0
        var etag: String?
        var line = 0
        while line < head {
            let end = bytes[line...].firstIndex(of: 13) ?? head
            if let value = value(of: "content-length:", bytes[line..<end]) {
                length = value.reduce(0) { $0 * 10 + Int($1 &- 48) }
            } else if let value = value(of: "etag:", bytes[line..<end]) {
                etag = String(decoding: value, as: UTF8.self)
            }
            line = end + 2
        }
        if status == 304 || status == 204 { length = 0 }
        guard bytes.count >= head + length else { return nil }
        return Found(status: status, etag: etag, body: head..<head + length, end: head + length)
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        bytes.withUnsafeBufferPointer { bytes in
            var index = 3
            while index < bytes.count {
                if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10 { return index + 1 }
                index += 1
            }
            return nil
        }
    }

    private static func value(of name: StaticString, _ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let count = name.utf8CodeUnitCount
        guard line.count > count else { return nil }
        let isMatch = name.withUTF8Buffer { name in
            zip(name, line).allSatisfy { $0 == $1 | ($1 >= 65 && $1 <= 90 ? 32 : 0) }
        }
        guard isMatch else { return nil }
        return line.dropFirst(count).drop { $0 == 32 }
    }
}
