import CZlib
import Testing

@testable import LedgerTilebox

@Suite("The formats of calls")
struct CallFormatTests {
    /// A frame of gRPC, which may announce another length.
    private func frame(_ message: [UInt8], flag: UInt8 = 0, length: Int? = nil) -> [UInt8] {
        let length = UInt32(length ?? message.count)
        return [flag] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + message
    }

    /// Compresses with zlib.
    private func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        defer { stream.deallocate() }
        stream.initialize(to: z_stream())
        #expect(progress_ledger_begin_gzip(stream, 9) == Z_OK)
        defer { deflateEnd(stream) }
        return [UInt8](unsafeUninitializedCapacity: bytes.count + 1_000) { output, count in
            bytes.withUnsafeMutableBufferPointer { input in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = UInt32(output.count)
                #expect(deflate(stream, Z_FINISH) == Z_STREAM_END)
            }
            count = output.count - Int(stream.pointee.avail_out)
        }
    }

    private func code(_ format: CallFormat, _ body: [UInt8], _ encoding: String? = nil) -> CallError.Code? {
        do throws(CallError) {
            _ = try format.message(in: body, encoding: encoding)
            return nil
        } catch {
            return error.code
        }
    }

    private static let message: [UInt8] = [10, 2, 8, 1]

    @Test("a message is unpacked from both formats, compressed or not")
    func unpacking() throws {
        let packed = gzip(Self.message)
        for encoding in [nil, "", "identity"] as [String?] {
            #expect(try CallFormat.connect.message(in: Self.message, encoding: encoding) == Self.message)
            #expect(try CallFormat.grpc.message(in: frame(Self.message), encoding: encoding) == Self.message)
        }
        for encoding in ["gzip", "GZIP"] {
            #expect(try CallFormat.connect.message(in: packed, encoding: encoding) == Self.message)
            #expect(try CallFormat.grpc.message(in: frame(packed, flag: 1), encoding: encoding) == Self.message)
        }
        // The flag decides, and not the name of the compression.
        #expect(try CallFormat.grpc.message(in: frame(Self.message), encoding: "gzip") == Self.message)
        #expect(try CallFormat.grpc.message(in: frame([]), encoding: nil) == [])
    }

    @Test("a frame of gRPC is refused unless it contains exactly one message")
    func frames() {
        for body in [
            [], [0], [0, 0, 0, 0], frame(Self.message, length: 3), frame(Self.message, length: 5),
            frame(Self.message) + frame(Self.message), frame(Self.message, length: Int(UInt32.max)),
            frame(Self.message, flag: 2), frame(Self.message, flag: 0x80), frame(gzip(Self.message), flag: 1),
        ] {
            #expect(code(.grpc, body) == .invalidArgument, "\(body)")
        }
        #expect(code(.grpc, frame(Self.message, flag: 1), "snappy") == .unimplemented)
        #expect(code(.connect, Self.message, "br") == .unimplemented)
    }

    @Test("gzip that is cut, changed or followed by more is refused")
    func invalidGzip() {
        let whole = gzip(Self.message)
        for end in whole.indices { #expect(code(.connect, Array(whole[..<end]), "gzip") == .invalidArgument, "\(end)") }
        var wrongChecksum = whole
        wrongChecksum[whole.count - 5] ^= 1
        for body in [wrongChecksum, whole + [0], whole + whole, Self.message] {
            #expect(code(.connect, body, "gzip") == .invalidArgument)
        }
    }

    @Test("a message has at most its limit after decompression, however small its gzip is")
    func bomb() throws {
        let limit = CallFormat.messageBytesMax
        let largest = [UInt8](repeating: 0, count: limit)
        #expect(try CallFormat.connect.message(in: gzip(largest), encoding: "gzip").count == limit)
        let bomb = gzip([UInt8](repeating: 0, count: 40 << 20))
        #expect(bomb.count < limit)
        for body in [gzip(largest + [0]), bomb] {
            #expect(code(.connect, body, "gzip") == .resourceExhausted)
            #expect(code(.grpc, frame(body, flag: 1), "gzip") == .resourceExhausted)
        }
    }

    @Test("responses are packed for their format, and read back")
    func packing() throws {
        #expect(CallFormat.connect.body(Self.message) == Self.message)
        #expect(CallFormat.grpc.body(Self.message) == [0, 0, 0, 0, 4] + Self.message)
        let long = [UInt8](repeating: 7, count: 65_000)
        #expect(try CallFormat.grpc.message(in: CallFormat.grpc.body(long), encoding: nil) == long)
    }

    @Test("only the media types of the SDK are calls")
    func mediaTypes() {
        for type in CallFormat.mediaTypes { #expect(CallFormat(mediaType: type) != nil) }
        for type in ["", "application/json", "application/grpc-web", "application/grpc+json", "application/protobuf"] {
            #expect(CallFormat(mediaType: type) == nil)
        }
    }

    @Test("every status of HTTP has a code, and the message of gRPC is visible ASCII")
    func errors() {
        let codes = [400, 401, 403, 404, 408, 410, 413, 415, 421, 422, 429, 500, 501, 503, 504].map {
            CallError.Code(status: $0).rawValue
        }
        #expect(
            codes == [
                "invalid_argument", "unauthenticated", "permission_denied", "not_found", "deadline_exceeded",
                "not_found", "resource_exhausted", "invalid_argument", "unknown", "invalid_argument", "unavailable",
                "internal", "unimplemented", "unavailable", "deadline_exceeded",
            ])
        for code in CallError.Code.allCases where code != .resourceExhausted {
            #expect(CallError.Code(status: code.status) == code || code == .unknown)
        }
        #expect(CallError(.unknown, "é 100 %\n").encodedMessage == "%C3%A9 100 %25%0A")
    }
}
