internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import LedgerWire
internal import NIOCore

/// The response of a route.
struct LedgerResponse: Sendable {
    /// The body of a response.
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// Parts that are written one after the other, at the speed of the client.
        case stream(@concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void)
    }

    var status: HTTPResponse.Status
    var headers: HTTPFields = [:]
    var body: Body
    /// Fields after a body of known length; nil for none.
    var trailers: HTTPFields?

    /// A JSON response.
    static func json(
        _ status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], _ write: (inout JSONWriter) -> Void
    ) -> LedgerResponse {
        var writer = JSONWriter()
        write(&writer)
        writer.newLine()
        return LedgerResponse(status: status, headers: headers, contentType: "application/json", bytes: writer.bytes)
    }

    init(status: HTTPResponse.Status, headers: HTTPFields = [:], contentType: String, bytes: [UInt8]) {
        self.status = status
        self.headers = headers
        self.headers.append(HTTPField(name: .contentType, value: contentType))
        body = .bytes(bytes)
    }

    init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: Body = .none) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The head of the response.
    var head: HTTPResponse {
        guard case .bytes(let bytes) = body else { return response.head }
        var headers = headers
        headers.addDefaults()
        headers.append(HTTPField(name: .contentLength, value: String(bytes.count)))
        return HTTPResponse(status: status, headerFields: headers)
    }

    /// The whole response in the wire format of HTTP/1.1.
    ///
    /// Nil if it has no body of known length, or if a header of it concerns the connection or the base path. It avoids
    /// a head as a value, which the pipeline would convert and then encode.
    func encoded(date: String) -> ByteBuffer? {
        guard case .bytes(let bytes) = body,
            !headers.contains(where: { $0.name == .connection || $0.name == .location })
        else { return nil }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.encodedHeadBytes + bytes.count)
        buffer.writeString("HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\n")
        for field in headers { buffer.write(field) }
        if headers.contains(where: { field in HTTPFields.defaults.contains { $0.name == field.name } }) {
            for field in HTTPFields.defaults where !headers.contains(where: { $0.name == field.name }) {
                buffer.write(field)
            }
        } else {
            buffer.writeImmutableBuffer(Self.encodedDefaults)
        }
        buffer.writeString("Content-Length: \(bytes.count)\r\nDate: \(date)\r\n\r\n")
        buffer.writeBytes(bytes)
        return buffer
    }

    /// The capacity for the head of an encoded response, in bytes.
    ///
    /// With a short body it stays within 512 bytes. For each piece of 1 kB or more, the memory allocator of glibc first
    /// merges the small pieces that were freed.
    private static let encodedHeadBytes = 384
    /// The fields of every response in the wire format.
    private static let encodedDefaults: ByteBuffer = {
        var buffer = ByteBuffer()
        for field in HTTPFields.defaults { buffer.write(field) }
        return buffer
    }()

    /// The response with a check before each part of a stream.
    ///
    /// A failed check breaks the stream off.
    func checked(_ check: @escaping @Sendable () throws(HTTPProblem) -> Void) -> LedgerResponse {
        guard case .stream(let produce) = body else { return self }
        var response = self
        response.body = .stream { writer in
            var checking: any ResponseBodyWriter = CheckingWriter(base: writer, check: check)
            try await produce(&checking)
        }
        return response
    }

    private struct CheckingWriter: ResponseBodyWriter {
        var base: any ResponseBodyWriter
        let check: @Sendable () throws(HTTPProblem) -> Void

        @concurrent
        mutating func write(_ buffer: ByteBuffer) async throws {
            try check()
            try await base.write(buffer)
        }

        /// Does nothing: the stream is finished by its owner.
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    /// The response in Hummingbird's form.
    var response: Response {
        var headers = headers
        headers.addDefaults()
        switch body {
        case .none:
            return Response(status: status, headers: headers)
        case .bytes(let bytes):
            let buffer = ByteBuffer(bytes: bytes)
            guard let trailers else {
                return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: buffer))
            }
            return Response(
                status: status, headers: headers,
                body: ResponseBody { writer in
                    if buffer.readableBytes > 0 { try await writer.write(buffer) }
                    try await writer.finish(trailers)
                })
        case .stream(let produce):
            return Response(
                status: status, headers: headers,
                body: ResponseBody { writer in
                    // A stream may compute for long.
                    try await withTaskExecutorPreference(ComputeExecutor.shared) { try await produce(&writer) }
                    try await writer.finish(nil)
                })
        }
    }
}

extension HTTPFields {
    /// Adds the fields of every response that a route has not set.
    ///
    /// They protect clients: a browser must not guess the type of a response, embed it in a page of another site, or
    /// run anything in it. A lookup by name would first index all fields, so this compares them one by one.
    mutating func addDefaults() {
        for field in Self.defaults where !contains(where: { $0.name == field.name }) { append(field) }
    }

    fileprivate static let defaults: [HTTPField] = [
        HTTPField(name: .cacheControl, value: "no-cache"), HTTPField(name: .xContentTypeOptions, value: "nosniff"),
        HTTPField(name: .contentSecurityPolicy, value: "default-src 'none'; frame-ancestors 'none'"),
        HTTPField(name: .crossOriginResourcePolicy, value: "same-origin"),
    ]
}

extension ByteBuffer {
    /// Writes a header field in the wire format of HTTP/1.1.
    fileprivate mutating func write(_ field: HTTPField) {
        writeString(field.name.rawName)
        writeStaticString(": ")
        writeString(field.value)
        writeStaticString("\r\n")
    }
}

extension HTTPField.Name {
    /// A field of the Fetch standard.
    static let crossOriginResourcePolicy = literal("Cross-Origin-Resource-Policy")
}
