internal import FoundationEssentials
internal import Glibc
public import PQ

/// A server that accepts logins by TCP with TLS only, as managed ones do.
///
/// The login `certified` needs a client certificate, all others a password (SCRAM).
public struct TestTLSServer: Sendable {
    public let server: TestServer
    /// The authority of the server's certificate, which also issues those of clients.
    public let certificates: TestCertificates

    /// Returns the target of a login by TCP.
    ///
    /// The name and the authority of the server are verified.
    ///
    /// - Parameters:
    ///   - user: The login.
    ///   - password: Its password; nil to log in with the certificate that has the login's name.
    ///   - database: The database.
    public func target(_ user: String, password: String?, database: String) -> ConnectionTarget {
        // The address is given too, so that no name service is asked.
        let target = server.target.setting("host", "localhost").setting("hostaddr", "127.0.0.1")
            .setting("user", user).setting("dbname", database).setting("sslmode", "verify-full")
            .setting("sslrootcert", certificates.ca)
        guard let password else {
            return target.setting("sslcert", certificates.certificate(user))
                .setting("sslkey", certificates.key(user))
        }
        return target.setting("password", password).setting("channel_binding", "require")
    }
}

/// Runs the closure with a server that accepts logins by TCP with TLS only.
///
/// Its superuser logs in through the Unix socket. The server is removed afterwards.
public func withTLSServer<R>(_ body: (TestTLSServer) async throws -> R) async throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "tls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    ).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { TestFiles.remove(folder) }
    let certificates = try await TestCertificates("authority", in: folder)
    try await certificates.issue(for: "DNS:localhost")
    try await certificates.issue("certified", for: "DNS:client")
    func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
    let files = [
        "tls.pem": try text(certificates.certificate), "tls.key": try text(certificates.key),
        "ca.pem": try text(certificates.ca),
        "pg_hba.conf": """
        local all all trust
        hostssl all certified 127.0.0.1/32 cert
        hostssl all all 127.0.0.1/32 scram-sha-256

        """,
    ]
    let settings = [
        "listen_addresses": "127.0.0.1", "ssl": "on", "ssl_cert_file": "tls.pem", "ssl_key_file": "tls.key",
        "ssl_ca_file": "ca.pem", "password_encryption": "scram-sha-256",
    ]
    let server = try await TestServer.start(settings: settings, port: try freePort(), files: files)
    let result: Result<R, any Error>
    do {
        result = .success(try await body(TestTLSServer(server: server, certificates: certificates)))
    } catch {
        result = .failure(error)
    }
    await server.remove()
    return try result.get()
}

/// Returns a port of 127.0.0.1 that no program uses at the moment.
private func freePort() throws -> Int {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(socket, generic, size) == 0 && getsockname(socket, generic, &size) == 0
        }
    }
    guard isBound else { throw CocoaError(.fileWriteUnknown) }
    return Int(UInt16(bigEndian: address.sin_port))
}
