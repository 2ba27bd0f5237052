import NIOCore
import NIOHTTP1
import NIOPosix

/// A document at an address of the web.
package enum WebDocument {
    /// Reads a document with one GET on a new connection.
    ///
    /// Redirections are not followed.
    ///
    /// - Parameter url: An address without a query.
    package static func read(
        _ url: String, caFile: String?, bytesMax: Int, deadline: ContinuousClock.Instant
    ) async throws(LedgerClientError) -> [UInt8] {
        let address = try ServerAddress(url)
        let response: ReceivedResponse
        do throws(TransportError) {
            let connection = try await HTTPConnection.connect(
                to: address, address.isSecure ? ClientTLS(caFile: caFile) : nil, on: .singleton, deadline: deadline)
            defer { connection.close() }
            let head = HTTPRequestHead(
                version: .http1_1, method: .GET,
                uri: address.pathPrefix + (url.hasSuffix("/") || address.pathPrefix.isEmpty ? "/" : ""),
                headers: ["host": address.hostHeader, "accept": "application/json", "connection": "close"])
            response = try await connection.send(
                head, body: nil, delivery: .collected(bytesMax: bytesMax), deadline: deadline)
        } catch {
            throw LedgerClientError(.unreachable, error.reason)
        }
        guard response.status == 200 else {
            throw LedgerClientError(
                .unexpectedResponse, "the response has the status \(response.status)", status: response.status)
        }
        return Array(response.body.readableBytesView)
    }
}

extension ServerAddress {
    /// Whether the host is this machine.
    package var isLoopback: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return host == "localhost" || host == "::1"
            || parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
