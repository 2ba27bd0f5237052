internal import FoundationEssentials
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// The TLS context of the server, replaced when its files change.
final class ServerTLS: Sendable {
    /// The content of the files.
    private struct Content: Equatable {
        let certificate: Data
        let key: Data
        let clientCA: Data?
    }

    private struct State {
        var content: Content
        var context: NIOSSLContext
        /// When the certificate expires, in seconds since 1970-01-01T00:00:00Z.
        var expiresAt: Int

        var isExpired: Bool { Double(expiresAt) < Date().timeIntervalSince1970 }
    }

    /// The interval between checks for changed files.
    private static let checkInterval: Duration = .seconds(2)

    private let files: ServerSettings.TLSFiles
    private let state: Mutex<State>

    /// Reads the files.
    init(_ files: ServerSettings.TLSFiles) throws(TLSFilesError) {
        self.files = files
        state = Mutex(try Self.load(try Self.read(files), files))
    }

    /// When the certificate expires, in seconds since 1970-01-01T00:00:00Z.
    var certificateExpiry: Int { state.withLock { $0.expiresAt } }

    /// A handler for a new connection, with the newest certificate.
    func makeHandler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: state.withLock { $0.context }) }

    /// Reads the files again whenever they change, until the task is cancelled.
    ///
    /// Open connections keep the certificate with which they began. Files that do not fit together are logged, and the
    /// last certificate stays in use: they may be half replaced.
    func reloadChanges(_ logger: Logger) async {
        if state.withLock({ $0.isExpired }) {
            logger.error("the certificate has expired", metadata: ["certificate": "\(files.certificate)"])
        }
        var lastFailure: String?
        while true {
            do { try await Task.sleep(for: Self.checkInterval) } catch { return }
            do throws(TLSFilesError) {
                let content = try Self.read(files)
                guard content != state.withLock({ $0.content }) else {
                    lastFailure = nil
                    continue
                }
                let loaded = try Self.load(content, files)
                guard !loaded.isExpired else {
                    throw TLSFilesError(path: files.certificate, reason: "its certificate has expired")
                }
                lastFailure = nil
                state.withLock { $0 = loaded }
                logger.notice("loaded a new certificate", metadata: ["certificate": "\(files.certificate)"])
            } catch {
                guard lastFailure != error.description else { continue }
                lastFailure = error.description
                logger.error(
                    "cannot load the new certificate; the last one stays in use", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func read(_ files: ServerSettings.TLSFiles) throws(TLSFilesError) -> Content {
        func read(_ path: String) throws(TLSFilesError) -> Data {
            do { return try Data(contentsOf: URL(filePath: path)) } catch {
                throw TLSFilesError(path: path, reason: "it cannot be read")
            }
        }
        return Content(
            certificate: try read(files.certificate), key: try read(files.key),
            clientCA: try files.clientCA.map { (path) throws(TLSFilesError) in try read(path) })
    }

    private static func load(
        _ content: Content, _ files: ServerSettings.TLSFiles
    ) throws(TLSFilesError) -> State {
        let chain = try certificates(content.certificate, files.certificate)
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(bytes: Array(content.key), format: .pem) } catch {
            throw TLSFilesError(path: files.key, reason: "it contains no private key in PEM without a passphrase")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        if let content = content.clientCA, let path = files.clientCA {
            configuration.trustRoots = .certificates(try certificates(content, path))
            configuration.certificateVerification = .noHostnameVerification
        }
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["h2", "http/1.1"]
        do {
            return State(
                content: content, context: try NIOSSLContext(configuration: configuration),
                expiresAt: Int(chain[0].notValidAfter))
        } catch {
            throw TLSFilesError(path: files.key, reason: "it is not the key of the certificate in \(files.certificate)")
        }
    }

    private static func certificates(_ content: Data, _ path: String) throws(TLSFilesError) -> [NIOSSLCertificate] {
        let certificates: [NIOSSLCertificate]
        do { certificates = try NIOSSLCertificate.fromPEMBytes(Array(content)) } catch {
            throw TLSFilesError(path: path, reason: "it contains no certificate in PEM")
        }
        guard !certificates.isEmpty else {
            throw TLSFilesError(path: path, reason: "it contains no certificate in PEM")
        }
        return certificates
    }
}

/// A file of the TLS settings that cannot be used.
public struct TLSFilesError: Error, CustomStringConvertible {
    /// The path of the file.
    public let path: String
    /// Why it cannot be used.
    public let reason: String

    public var description: String { "Cannot use \(path) for TLS: \(reason)." }
}

extension ServerSettings.TLSFiles {
    /// Throws if a file cannot be used, before anything is started.
    public func check() throws(TLSFilesError) { _ = try ServerTLS(self) }
}
