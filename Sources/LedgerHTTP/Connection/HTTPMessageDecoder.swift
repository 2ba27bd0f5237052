internal import NIOCore
internal import NIOHTTP1

/// A request head that is larger than the server reads.
enum RequestTooLarge: Error {
    /// The target, which is the path with its query: 414.
    case target
    /// The header: 431.
    case header
}

/// Tells the decoder of a connection that a request asked for another protocol, after which the parser reads no more.
///
/// Used on the connection's event loop only.
final class UpgradeSignal {
    /// Whether such a request has ended since the decoder last looked.
    var hasEnded = false
}

/// Decodes requests, and goes on after one that asks for an upgrade.
///
/// The parser takes what follows such a request for the other protocol. The server knows no other protocol and ignores the
/// wish (RFC 9110, section 7.8), so a new parser reads on.
final class HTTPMessageDecoder: ByteToMessageDecoder {
    typealias InboundOut = HTTPServerRequestPart

    /// The most bytes of one field of a header, and of a target.
    static let fieldBytesMax = 16_384
    /// The most bytes of a whole header.
    static let headerBytesMax = 65_536
    /// The most fields of a header.
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

    /// Whether the line that was too long is a request line. The parser says only that something was too long, and keeps
    /// the bytes from the beginning of that field, or from the beginning of the packet.
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
