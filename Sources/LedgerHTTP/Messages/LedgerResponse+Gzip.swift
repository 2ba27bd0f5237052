internal import HTTPTypes
internal import HummingbirdCore
internal import NIOCore

extension LedgerResponse {
    /// The length in bytes from which a response is compressed.
    static let compressionBytesMin = 1_024
    /// The maximum length in bytes of a response compressed on an event loop.
    ///
    /// Compressing it takes about half a millisecond.
    static let compressionOnLoopBytesMax = 16_384

    /// Whether the response is worth compressing.
    ///
    /// Short responses are not, event streams must not be delayed, and gRPC has a compression of its own.
    private var isCompressible: Bool {
        guard trailers == nil, headers[.contentEncoding] == nil,
            headers[.contentType]?.hasPrefix("text/event-stream") != true
        else {
            return false
        }
        switch body {
        case .none: return false
        case .bytes(let bytes): return bytes.count >= Self.compressionBytesMin
        case .stream: return true
        }
    }

    /// Whether ``compressed()`` would block an event loop for too long.
    var isSlowToCompress: Bool {
        guard isCompressible, case .bytes(let bytes) = body else { return false }
        return bytes.count > Self.compressionOnLoopBytesMax
    }

    /// The response with a compressed body, if that is worth it.
    func compressed() -> LedgerResponse {
        guard isCompressible else { return self }
        var response = self
        response.headers[.contentEncoding] = "gzip"
        response.headers.append(HTTPField(name: .vary, value: "Accept-Encoding"))
        // A strong tag identifies exact bytes.
        if let tag = headers[.eTag], !tag.hasPrefix("W/") { response.headers[.eTag] = "W/\(tag)" }
        switch body {
        case .none: break
        case .bytes(let bytes): response.body = .bytes(GzipStream().compress(bytes, isLast: true))
        case .stream(let produce):
            response.body = .stream { writer in
                let gzip = GzipStream()
                var compressing: any ResponseBodyWriter = CompressingWriter(base: writer, gzip: gzip)
                try await produce(&compressing)
                try await writer.write(ByteBuffer(bytes: gzip.compress([], isLast: true)))
            }
        }
        return response
    }

    private struct CompressingWriter: ResponseBodyWriter {
        var base: any ResponseBodyWriter
        let gzip: GzipStream

        @concurrent
        mutating func write(_ buffer: ByteBuffer) async throws {
            let bytes = gzip.compress(Array(buffer.readableBytesView), isLast: false)
            try await base.write(ByteBuffer(bytes: bytes))
        }

        /// Does nothing: the stream is finished by its owner.
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
}

extension HTTPFields {
    /// Whether the client accepts responses in gzip (RFC 9110, section 12.5.3).
    var acceptGzip: Bool { self[values: .acceptEncoding].contains { Self.acceptsGzip($0) } }

    /// Whether a value of `Accept-Encoding` names gzip, and not with the quality 0.
    static func acceptsGzip(_ value: String) -> Bool {
        // The values of most clients.
        if value == "gzip" || value.hasPrefix("gzip, ") { return true }
        var others = false
        for element in value.split(separator: ",") {
            let parts = element.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let name = parts.first, ["gzip", "x-gzip", "*"].contains(name) else { continue }
            let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            // The asterisk stands for the encodings that are not listed.
            guard name == "*" else { return quality > 0 }
            others = quality > 0
        }
        return others
    }
}
