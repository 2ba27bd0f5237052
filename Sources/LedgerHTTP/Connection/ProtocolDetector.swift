internal import NIOCore

/// A handler that detects HTTP/2 or HTTP/1.1 by the first bytes of a connection.
///
/// A client of HTTP/2 begins with a fixed text: RFC 9113, section 3.4. That holds with and without TLS, so the protocol
/// that TLS has negotiated need not be known.
final class ProtocolDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private let timeLimit: TimeAmount
    private let detected: (_ isHTTP2: Bool) -> Void
    private let ended: () -> Void
    private var received: ByteBuffer?
    private var isDetected = false
    private var timer: Scheduled<Void>?

    /// - Parameters:
    ///   - timeLimit: The time after which a connection without these bytes is closed.
    ///   - detected: Adds the handlers of the protocol behind this one. Called at most once.
    ///   - ended: Called once if the connection ends before.
    init(timeLimit: TimeAmount, detected: @escaping (Bool) -> Void, ended: @escaping () -> Void) {
        self.timeLimit = timeLimit
        self.detected = detected
        self.ended = ended
    }

    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeLimit) { context.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        if !isDetected {
            isDetected = true
            ended()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !isDetected else { return context.fireChannelRead(wrapInboundOut(bytes)) }
        if received == nil { received = bytes } else { received?.writeBuffer(&bytes) }
        guard let received else { return }
        let beginning = received.readableBytesView.prefix(Self.preface.count)
        let isPossible = Self.preface.starts(with: beginning)
        guard !isPossible || beginning.count == Self.preface.count else { return }
        isDetected = true
        self.received = nil
        detected(isPossible)
        context.fireChannelRead(wrapInboundOut(received))
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDetected {
            isDetected = true
            ended()
        }
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The server stops, or the client will send nothing more.
        if !isDetected, event is ChannelShouldQuiesceEvent || event as? ChannelEvent == .inputClosed {
            return context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }
}
