internal import NIOCore

/// A handler that puts the server's settings of HTTP/2 into effect at once.
///
/// swift-nio-http2 applies them when the client acknowledges them. Until then it accepts a header of 16 KiB, and
/// disconnects a client with a longer one in its first request. The limits of this server are not lower than the
/// initial ones, so a client cannot break them unknowingly. The handler therefore acknowledges the settings itself
/// after the client's own settings, and removes the acknowledgement of the client.
final class EarlySettings: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The length of the text with which a client begins: RFC 9113, section 3.4.
    private static let prefaceBytes = 24
    /// The length of the header of a frame: RFC 9113, section 4.1.
    private static let frameHeaderBytes = 9
    private static let settingsType: UInt8 = 4
    private static let acknowledgementFlag: UInt8 = 1
    private static let acknowledgement: [UInt8] = [0, 0, 0, settingsType, acknowledgementFlag, 0, 0, 0, 0]

    /// The bytes that are not forwarded yet.
    private var received = ByteBuffer()
    /// The length of the rest of the preface or of the current frame.
    private var rest = EarlySettings.prefaceBytes
    /// Whether the current frame contains the settings of the client.
    private var isSettings = false
    /// Whether the settings of the server are in effect.
    private var isInEffect = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
        while forward(context) || begin(context) {}
    }

    /// Forwards the rest of the current frame, or of the preface.
    ///
    /// - Returns: Whether anything was forwarded.
    private func forward(_ context: ChannelHandlerContext) -> Bool {
        guard let part = received.readSlice(length: min(rest, received.readableBytes)), part.readableBytes > 0 else {
            return false
        }
        rest -= part.readableBytes
        context.fireChannelRead(wrapInboundOut(part))
        if rest == 0, isSettings, !isInEffect {
            isInEffect = true
            context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: Self.acknowledgement)))
        }
        return true
    }

    /// Begins the next frame.
    ///
    /// - Returns: Whether there is one that is to be forwarded.
    private func begin(_ context: ChannelHandlerContext) -> Bool {
        guard rest == 0, let header = received.getBytes(at: received.readerIndex, length: Self.frameHeaderBytes) else {
            return false
        }
        if isInEffect, header == Self.acknowledgement {
            received.moveReaderIndex(forwardBy: header.count)
            if received.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(received)) }
            received.clear()
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            return false
        }
        rest = header.count + Int(header[0]) << 16 + Int(header[1]) << 8 + Int(header[2])
        isSettings = header[3] == Self.settingsType && header[4] & Self.acknowledgementFlag == 0
        return true
    }
}

@available(*, unavailable)
extension EarlySettings: Sendable {}
