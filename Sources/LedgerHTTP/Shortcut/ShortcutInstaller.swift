internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore
internal import NIOHTTPTypes

/// Puts the shortcuts behind Hummingbird's handler of a connection's state, which comes after those that we may give it.
final class ShortcutInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    /// What is read at once in the beginning; it grows with what comes. Small, since most connections send little and
    /// keep this for as long as they live.
    private static let readBytes = 512

    private let make: () -> [any ChannelHandler]

    /// - Parameter make: The shortcuts, the one that looks at requests first at the front.
    init(_ make: @escaping () -> [any ChannelHandler]) {
        self.make = make
    }

    func channelActive(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let state = try pipeline.handler(type: HTTPConnectionStateHandler.self)
            try pipeline.addHandlers(make(), position: .after(state))
            try context.channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.readBytes, initial: Self.readBytes, maximum: 65_536))
        } catch {
            // Without them the general route answers everything.
        }
        context.fireChannelActive()
        pipeline.removeHandler(context: context, promise: nil)
    }
}
