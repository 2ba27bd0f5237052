internal import FoundationEssentials
// This module's interface uses types of modules that are not products. Re-exporting them lets a task import one module.
@_exported public import Ledger

/// An HTTP/1.1 client of a ledger's server.
///
/// The command line and the tests use it too. One client holds a bounded number of connections to one server, keeps
/// them open between requests, and may be used by any number of tasks at once. Every request has a deadline. The client
/// sends a request again, after a growing and random pause, only if the server cannot have processed it or if
/// processing it twice has the same effect as once. Otherwise the failure is
/// ``LedgerClientError/Code/outcomeUnknown``.
///
/// The client does not queue, batch or send anything in the background. To report from tasks, use ``LedgerJob``.
public final class LedgerClient: Sendable {
    /// The limits and timeouts of a client.
    public struct Settings: Hashable, Sendable {
        /// The most connections open at once.
        ///
        /// Eight saturate a small server, and the server limits their number.
        public var connectionsMax = 8
        /// The most requests that wait for a connection; further ones are refused at once.
        ///
        /// The default is about a second's worth of requests.
        public var waitersMax = 1_000
        /// The idle time after which a connection is not used again.
        ///
        /// It is below the 75 s after which the server closes an idle connection, which avoids a race between the two.
        public var connectionIdleMax = Duration.seconds(30)
        /// The time limit of one try, from waiting for a connection to the last byte.
        ///
        /// A read that waits for a change gets its wait in addition.
        public var deadline = Duration.seconds(30)
        /// The time after the first try in which a request may be repeated; 0 is never.
        public var patience = Duration.seconds(10)
        /// The largest response, in bytes, that is held in memory.
        ///
        /// A page of 1,000 events with long names stays below.
        public var responseBytesMax = 64 * 1_048_576
        /// The bearer token that identifies the caller, if the server requires one.
        public var token: String?
        /// The path of a file with the token; ignored if ``token`` is set.
        ///
        /// It is read again when it changes.
        public var tokenFile: String?
        /// The path of a PEM file with the authorities that `https` trusts.
        ///
        /// Without it, they are those of the system. It is read again when it changes.
        public var caFile: String?
        /// The client's own certificate, if the server requires one.
        public var certificate: ClientCertificate?

        /// The paths of the PEM files of a client's certificate.
        ///
        /// They are read at the first connection, and again when they change.
        public struct ClientCertificate: Hashable, Sendable {
            /// The certificate, followed by intermediate ones.
            public var certificateFile: String
            /// The private key of the certificate, without a passphrase.
            public var keyFile: String

            public init(certificateFile: String, keyFile: String) {
                self.certificateFile = certificateFile
                self.keyFile = keyFile
            }
        }

        public init() {}

        /// Returns the default settings with the credentials of the environment.
        ///
        /// `PROGRESS_LEDGER_TOKEN` is a token, `PROGRESS_LEDGER_TOKEN_FILE` the path of a file with one,
        /// `PROGRESS_LEDGER_CA_FILE` that of a file with authorities. `PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE` and
        /// `PROGRESS_LEDGER_CLIENT_KEY_FILE` are the paths of the client's certificate.
        ///
        /// - Throws: ``LedgerClientError/Code/invalidAddress`` if a value is not a token, the file has none, or only
        ///   one of the two paths of the certificate is given.
        public static func fromEnvironment() throws(LedgerClientError) -> Settings {
            func variable(_ name: String) -> String? {
                ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
            }
            var settings = Settings()
            settings.token = variable("PROGRESS_LEDGER_TOKEN").map { TokenFile.trimmed($0) }
            if let token = settings.token, !TokenFile.isToken(token) {
                throw LedgerClientError(
                    .invalidAddress, "The value of PROGRESS_LEDGER_TOKEN is not a token.",
                    remedy: "Copy the whole token, without quotes, spaces and line breaks.")
            }
            settings.tokenFile = variable("PROGRESS_LEDGER_TOKEN_FILE")
            settings.caFile = variable("PROGRESS_LEDGER_CA_FILE")
            switch (
                variable("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE"), variable("PROGRESS_LEDGER_CLIENT_KEY_FILE")
            ) {
            case (nil, nil): break
            case (let certificate?, let key?):
                settings.certificate = ClientCertificate(certificateFile: certificate, keyFile: key)
            default:
                throw LedgerClientError(
                    .invalidAddress, "A client certificate needs both its file and that of its key.",
                    remedy:
                        "Set PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE and PROGRESS_LEDGER_CLIENT_KEY_FILE, or neither.")
            }
            if settings.token == nil, let path = settings.tokenFile, TokenFile(path).token == nil {
                throw LedgerClientError(
                    .invalidAddress, "The file of PROGRESS_LEDGER_TOKEN_FILE, '\(path)', contains no readable token.",
                    remedy: "Check its path, its permissions and its first line.")
            }
            return settings
        }

        /// These settings, limited to values that timers and counters can hold.
        ///
        /// A setting must not trap.
        var bounded: Settings {
            func bound(_ duration: Duration) -> Duration { min(max(duration, .zero), .seconds(86_400)) }
            var settings = self
            settings.connectionsMax = max(1, connectionsMax)
            settings.waitersMax = max(0, waitersMax)
            settings.connectionIdleMax = bound(connectionIdleMax)
            settings.deadline = bound(deadline)
            settings.patience = bound(patience)
            settings.responseBytesMax = max(0, responseBytesMax)
            return settings
        }
    }

    /// The address of the server.
    public let address: ServerAddress
    let settings: Settings
    let pool: ConnectionPool
    let sharedState: SharedClientState
    private let tokenFile: TokenFile?

    /// The token to send; nil for none.
    var token: String? { settings.token ?? tokenFile?.token }

    /// Creates a client of the server at a URL; it connects at the first request.
    ///
    /// - Parameters:
    ///   - url: `http://HOST:PORT`, with a path if a proxy serves the ledger below one.
    ///   - settings: The limits and timeouts.
    /// - Throws: ``LedgerClientError/Code/invalidAddress``.
    public convenience init(url: String, settings: Settings = Settings()) throws(LedgerClientError) {
        self.init(address: try ServerAddress(url), settings: settings)
    }

    /// Creates a client of the server at an address; it connects at the first request.
    public convenience init(address: ServerAddress, settings: Settings = Settings()) {
        self.init(address: address, settings: settings, sharedState: SharedClientState())
    }

    init(address: ServerAddress, settings: Settings, sharedState: SharedClientState) {
        let settings = settings.bounded
        self.address = address
        self.settings = settings
        self.sharedState = sharedState
        tokenFile = settings.tokenFile.map { TokenFile($0) }
        self.pool = ConnectionPool(address: address, settings: settings)
    }

    deinit {
        pool.close()
    }

    /// Closes idle connections now and the others when their requests end.
    ///
    /// Later requests fail.
    public func close() {
        pool.close()
    }
}
