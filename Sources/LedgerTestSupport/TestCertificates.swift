internal import FoundationEssentials
internal import LedgerStore

/// Certificates of one authority, made with openssl in a folder of their own.
public struct TestCertificates: Sendable {
    public let folder: String

    /// The authority's certificate.
    public var ca: String { "\(folder)/ca.pem" }
    /// The certificate with the name `server`, and its key.
    public var certificate: String { certificate("server") }
    public var key: String { key("server") }

    /// Makes an authority.
    public init(_ name: String, in parent: String) async throws {
        folder = "\(parent)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try await run(
            """
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
                -subj "/CN=authority \(name)" -addext basicConstraints=critical,CA:TRUE
            """)
    }

    public func certificate(_ name: String) -> String { "\(folder)/\(name).pem" }
    public func key(_ name: String) -> String { "\(folder)/\(name).key" }

    /// Makes a certificate of the authority, for these names.
    ///
    /// It replaces an earlier one with the same name.
    public func issue(_ name: String = "server", for names: String = "DNS:localhost,IP:127.0.0.1") async throws {
        try await run(
            """
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(name).key -out \(name).csr \
                -subj "/CN=\(name)"
            printf 'subjectAltName=%s\\n' '\(names)' >\(name).ext
            openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out \(name).pem \
                -extfile \(name).ext
            """)
    }

    private func run(_ script: String) async throws {
        let runner = Program(prefix: [], log: "\(folder)/log")
        let result = try await runner.run(
            ["bash", "-euc", "cd '\(folder)'\n\(script)"], deadline: .seconds(60))
        guard result.exitCode == 0 else { throw Failure(description: result.output) }
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
