internal import NIOCore
internal import NIOHTTP1

/// A request head that exceeds a limit of the server.
enum RequestTooLarge: Error {
    /// The target, which is the path with its query: 414.
    case target
    /// The header: 431.
    case header
}

/// A signal to a connection's decoder that a request wants another protocol.
///
/// The parser reads no more after such a request. Used on the connection's event loop only.
final class UpgradeSignal {
    /// Whether such a request has ended since the decoder last checked.
    var hasEnded = false
}

/// A request decoder that continues after a request for an upgrade.
///
/// The parser takes the bytes after such a request for the other protocol. The server supports no other protocol and
/// ignores the upgrade (RFC 9110, section 7.8), so a new parser reads on.
final class HTTPMessageDecoder: ByteToMessageDecoder {
    typealias InboundOut = HTTPServerRequestPart

    /// The maximum size of one header field, and of a target, in bytes.
    static let fieldBytesMax = 16_384
    /// The maximum size of a whole header, in bytes.
    static let headerBytesMax = 65_536
    /// The maximum number of fields in a header.
    static let fieldsMax = 100

    private var decoder = HTTPMessageDecoder.makeDecoder()
    private let upgrade: UpgradeSignal

    init(upgrade: UpgradeSignal) {
        self.upgrade = upgrade
    }

    private static func makeDecoder() -> HTTPRequestDecoder {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = fieldBytesMax
        limits.maxHeaderListSize = headerBytesMax
        limits.maxHeaderFieldCount = fieldsMax
        return HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
    }

    func decoderAdded(context: ChannelHandlerContext) {
        decoder.decoderAdded(context: context)
    }

    func decoderRemoved(context: ChannelHandlerContext) {
        decoder.decoderRemoved(context: context)
    }

    func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        do {
            _ = try decoder.decode(context: context, buffer: &buffer)
        } catch HTTPParserError.headerOverflow {
            throw Self.isTargetTooLong(buffer.readableBytesView) ? RequestTooLarge.target : .header
        }
        guard upgrade.hasEnded else { return .needMoreData }
        upgrade.hasEnded = false
        decoder.decoderRemoved(context: context)
        decoder = Self.makeDecoder()
        decoder.decoderAdded(context: context)
        return buffer.readableBytes > 0 ? .continue : .needMoreData
    }

    func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        while buffer.readableBytes > 0, case .continue = try decode(context: context, buffer: &buffer) {}
        return try decoder.decodeLast(context: context, buffer: &buffer, seenEOF: seenEOF)
    }

    /// Whether the overlong line is a request line.
    ///
    /// The parser reports only that something was too long. It keeps the bytes from the beginning of that field, or
    /// from the beginning of the packet.
    private static func isTargetTooLong(_ bytes: ByteBufferView) -> Bool {
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let line = bytes[start...].prefix { $0 != 0x0A }
            if line.count > fieldBytesMax {
                // A target is "/…", or follows the method and a space; a field's name is followed by a colon.
                let end = line.firstIndex {
                    $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/")
                }
                return end.map { line[$0] != UInt8(ascii: ":") } ?? false
            }
            start = line.endIndex + 1
        }
        return false
    }
}

@available(*, unavailable)
extension HTTPMessageDecoder: Sendable {}
