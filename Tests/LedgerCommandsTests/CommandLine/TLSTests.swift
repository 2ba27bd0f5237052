import Foundation
import LedgerTestSupport
import PQ
import ProgressLedgerClient
import Synchronization
import Testing

@testable import LedgerCommands

@Suite("TLS", .timeLimit(.minutes(10)))
struct TLSTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder.path()) }
        try await body(folder.path())
    }

    /// The state of clients that send requests until a test has done its work.
    private final class Load: Sendable {
        let isOver = Atomic(false)
        let clients = Atomic(0)

        /// Sends requests from four tasks; throws the first failure.
        func run(_ url: String, _ ca: String) async throws {
            try await withThrowingTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask {
                        while !self.isOver.load(ordering: .relaxed) {
                            // A new client has a new connection; it sends several requests on it.
                            let client = try TLSTests.client(url, ca)
                            for _ in 0..<3 { try await client.checkReadiness() }
                            client.close()
                            self.clients.add(1, ordering: .relaxed)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    private static func client(_ url: String, _ ca: String) throws -> LedgerClient {
        var settings = LedgerClient.Settings()
        settings.caFile = ca
        settings.patience = .zero
        return try LedgerClient(url: url, settings: settings)
    }

    @Test("the command line and the Swift client speak https, and verify the authority and the name")
    func https() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            let other = try await TestCertificates("other", in: folder)
            try await withServer("--tls-certificate", own.certificate, "--tls-key", own.key) { url, _ in
                #expect(url.hasPrefix("https://127.0.0.1:"))
                let named = url.replacing("127.0.0.1", with: "localhost")
                for address in [url, named] {
                    let run = try await CommandRun.ledger(
                        "demo", "--speed", "0", "--server", address,
                        environment: ["PROGRESS_LEDGER_CA_FILE": own.ca])
                    #expect(run.status == 0, "\(run.errors)")
                }
                try await Self.client(named, own.ca).checkReadiness()
                for (authority, reason) in [
                    (other.ca, "to trust it, set PROGRESS_LEDGER_CA_FILE"),
                    ("\(folder)/none", "no readable certificate"),
                ] {
                    let error = await #expect(throws: LedgerClientError.self) {
                        try await Self.client(named, authority).checkReadiness()
                    }
                    #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
                }
                // Without a file the system's authorities are trusted, which do not know this one.
                let refused = try await CommandRun.ledger("jobs", "--server", named)
                #expect(refused.status == ExitStatus.unavailable.rawValue, "\(refused)")
                // A port without a program, and one without TLS.
                let closed = try await CommandRun.ledger("jobs", "--server", "https://127.0.0.1:1")
                #expect(closed.status == ExitStatus.unavailable.rawValue, "\(closed)")
                let plain = try await CommandRun.ledger("jobs", "--server", url.replacing("https", with: "http"))
                #expect(plain.status != 0)
            }
            try await own.issue(for: "DNS:elsewhere.example")
            try await withServer("--tls-certificate", own.certificate, "--tls-key", own.key) { url, _ in
                await #expect(throws: LedgerClientError.self) { try await Self.client(url, own.ca).checkReadiness() }
            }
        }
    }

    @Test("nothing older than TLS 1.2 is accepted")
    func versions() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            try await withServer("--tls-certificate", own.certificate, "--tls-key", own.key) { url, _ in
                let address = url.replacing("https://", with: "")
                for (option, isAccepted) in [
                    ("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true),
                ] {
                    // The lowest security level lets openssl itself offer the old versions.
                    let run = try await CommandRun.run(
                        "/usr/bin/openssl",
                        ["s_client", "-connect", address, option, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "http/1.1"])
                    #expect((run.status == 0) == isAccepted, "\(option): \(run.errors)")
                    #expect(run.output.contains("ALPN protocol: http/1.1") == isAccepted, "\(option)")
                }
            }
        }
    }

    @Test("a client may choose HTTP/2, with TLS and without")
    func protocols() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            func version(_ arguments: [String], _ url: String) async throws -> String {
                try await CommandRun.run(
                    "/usr/bin/curl",
                    ["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"] + arguments + [url]
                ).output
            }
            try await withServer("--tls-certificate", own.certificate, "--tls-key", own.key) { url, _ in
                for (option, expected) in [
                    ("--http2", "2 200"), ("--http1.1", "1.1 200"), ("--http2-prior-knowledge", "2 200"),
                ] {
                    let actual = try await version(["--cacert", own.ca, option], "\(url)/v1/jobs")
                    #expect(actual == expected, "\(option)")
                }
            }
            try await withServer { url, _ in
                for (option, expected) in [
                    // Without TLS, this curl asks for an upgrade, which is ignored.
                    ("--http2", "1.1 200"), ("--http1.1", "1.1 200"), ("--http2-prior-knowledge", "2 200"),
                ] {
                    let actual = try await version([option], "\(url)/v1/jobs")
                    #expect(actual == expected, "\(option)")
                }
            }
        }
    }

    @Test("with an authority for clients, only clients with a certificate of it are served")
    func clientCertificates() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            let clients = try await TestCertificates("clients", in: folder)
            try await clients.issue("client")
            try await own.issue("client")
            try await withServer(
                "--tls-certificate", own.certificate, "--tls-key", own.key, "--tls-client-ca", clients.ca
            ) { url, _ in
                for (authority, isServed) in [(clients.folder, true), (own.folder, false), (nil, false)] {
                    let certificate =
                        authority.map { ["--cert", "\($0)/client.pem", "--key", "\($0)/client.key"] } ?? []
                    let run = try await CommandRun.run(
                        "/usr/bin/curl",
                        ["--silent", "--show-error", "--fail", "--cacert", own.ca, "\(url)/readyz"] + certificate)
                    #expect((run.status == 0) == isServed, "\(authority ?? "none"): \(run.errors)")
                    var environment = ["PROGRESS_LEDGER_CA_FILE": own.ca]
                    if let authority {
                        environment["PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE"] = "\(authority)/client.pem"
                        environment["PROGRESS_LEDGER_CLIENT_KEY_FILE"] = "\(authority)/client.key"
                    }
                    let jobs = try await CommandRun.ledger("jobs", "--server", url, environment: environment)
                    #expect((jobs.status == 0) == isServed, "\(authority ?? "none"): \(jobs.errors)")
                }
                for (key, reason) in [(nil, "needs both"), (own.ca, "no readable certificate")] {
                    var environment = ["PROGRESS_LEDGER_CA_FILE": own.ca]
                    environment["PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE"] = "\(clients.folder)/client.pem"
                    environment["PROGRESS_LEDGER_CLIENT_KEY_FILE"] = key
                    let jobs = try await CommandRun.ledger("jobs", "--server", url, environment: environment)
                    #expect(jobs.status != 0 && jobs.errors.contains(reason), "\(jobs.errors)")
                }
            }
        }
    }

    @Test("the Swift client uses renewed certificates and authorities without a restart")
    func rotationOfClients() async throws {
        try await withFolder { folder in
            let old = try await TestCertificates("old", in: folder)
            let new = try await TestCertificates("new", in: folder)
            for authority in [old, new] {
                try await authority.issue()
                try await authority.issue("client")
            }
            func file(_ name: String) -> String { "\(folder)/\(name)" }
            func replace(_ name: String, with source: String) throws {
                try Data(contentsOf: URL(filePath: source)).write(to: URL(filePath: file(name)), options: .atomic)
            }
            func useInServer(_ authority: TestCertificates) throws {
                try replace("server.pem", with: authority.certificate)
                try replace("server.key", with: authority.key)
                try replace("clients.pem", with: authority.ca)
            }
            try useInServer(old)
            try replace("ca.pem", with: old.ca)
            try replace("client.pem", with: old.certificate("client"))
            try replace("client.key", with: old.key("client"))
            try await withServer(
                "--tls-certificate", file("server.pem"), "--tls-key", file("server.key"), "--tls-client-ca",
                file("clients.pem")
            ) { url, _ in
                var settings = LedgerClient.Settings()
                settings.caFile = file("ca.pem")
                settings.certificate = .init(certificateFile: file("client.pem"), keyFile: file("client.key"))
                settings.patience = .zero
                // Each request has a new connection.
                settings.connectionIdleMax = .zero
                let client = try LedgerClient(url: url, settings: settings)
                func isServed() async throws -> Bool {
                    do throws(LedgerClientError) {
                        try await client.checkReadiness()
                        return true
                    } catch {
                        return false
                    }
                }
                #expect(try await isServed())
                try useInServer(new)
                try await eventually { try await !isServed() }
                try replace("ca.pem", with: new.ca)
                #expect(try await !isServed(), "the client's own certificate is still the old one")
                try replace("client.pem", with: new.certificate("client"))
                #expect(try await !isServed(), "the key is still the old one")
                try replace("client.key", with: new.key("client"))
                #expect(try await isServed())
                for name in ["ca.pem", "client.pem", "client.key"] {
                    let content = try Data(contentsOf: URL(filePath: file(name)))
                    for broken in [content.prefix(60), Data()] {
                        try broken.write(to: URL(filePath: file(name)))
                        #expect(try await isServed(), "the last certificates remain in use without \(name)")
                    }
                    try content.write(to: URL(filePath: file(name)))
                }
            }
        }
    }

    @Test("a certificate is replaced under load without a failed request")
    func rotation() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            try await withServer("--tls-certificate", own.certificate, "--tls-key", own.key) { url, server in
                let load = Load()
                async let requests: Void = load.run(url, own.ca)
                func fingerprint() async throws -> String {
                    let address = url.replacing("https://", with: "")
                    let pipe =
                        #"openssl s_client -connect "$0" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint"#
                    return try await CommandRun.run("/bin/bash", ["-c", pipe, address]).output
                }
                var seen = [try await fingerprint()]
                for round in 0..<3 {
                    // The certificate and its key are written one after the other, and differ for a moment.
                    try await own.issue()
                    let before = try #require(seen.last)
                    var now = before
                    try await eventually {
                        now = try await fingerprint()
                        return now != before
                    }
                    #expect(!seen.contains(now), "round \(round)")
                    seen.append(now)
                }
                try Data("broken".utf8).write(to: URL(filePath: own.certificate))
                try await eventually { server.printed.contains("cannot load the new certificate") }
                #expect(try await fingerprint() == seen.last)
                load.isOver.store(true, ordering: .relaxed)
                try await requests
                #expect(load.clients.load(ordering: .relaxed) > 10)
            }
        }
    }

    @Test("a server does not start with files that do not fit together, and names the file")
    func unusableFiles() async throws {
        try await withFolder { folder in
            let own = try await TestCertificates("own", in: folder)
            try await own.issue()
            let other = try await TestCertificates("other", in: folder)
            try await other.issue()
            for (arguments, reason) in [
                (["--tls-certificate", own.certificate], "needs both"),
                (["--tls-client-ca", own.ca], "needs both"),
                (["--tls-certificate", own.certificate, "--tls-key", other.key], "is not the key of the certificate"),
                (["--tls-certificate", own.key, "--tls-key", own.key], "no certificate in PEM"),
                (["--tls-certificate", own.certificate, "--tls-key", own.certificate], "no private key in PEM"),
                (["--tls-certificate", "\(folder)/none", "--tls-key", own.key], "cannot be read"),
            ] {
                let run = try await CommandRun.run(
                    ServerProcess.binary, ["serve", "--port", "0", "--data", "\(folder)/data"] + arguments)
                #expect(run.status == ExitStatus.usage.rawValue, "\(arguments): \(run.errors)")
                #expect(run.errors.contains(reason), "\(arguments): \(run.errors)")
            }
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/data"))
        }
    }
}
