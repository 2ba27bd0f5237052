import ArgumentParser
import Crypto
import FoundationEssentials
import Ledger
import LedgerStore
import LedgerWire
import ProgressLedgerClient

struct AnchorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "anchor",
        abstract: "Write a signed file with the head of every job's ledger.",
        discussion: """
            'verify --anchor FILE' proves later that every event up to these heads is still there and unchanged. It \
            also detects changes by a user who can rewrite the whole database. Keep the file and the private key out \
            of reach of database administrators, and write an anchor as often as you want proof. --new-key FILE \
            creates the key, and FILE.pub for verifiers.
            """)

    @Option(
        help: ArgumentHelp(
            "The Ed25519 private key, as a PEM file. Default: PROGRESS_LEDGER_ANCHOR_KEY.", valueName: "file"))
    var key: String?

    @Option(help: ArgumentHelp("Create a new key file and exit; fails if the file exists.", valueName: "file"))
    var newKey: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write. Default: standard output.", valueName: "file"))
    var output: String?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        if let newKey {
            let key = SigningKey.make()
            try key.write(newKey)
            return Console.standard.printToError(
                "created \(newKey), and \(newKey).pub for verifiers; fingerprint \(key.key.publicKey.fingerprint)")
        }
        let configured = ProcessInfo.processInfo.environment[Setting.anchorKey.variable]
        guard let path = key ?? configured, !path.isEmpty else {
            throw CommandFailure(
                .usage, "No signing key. Give --key or set \(Setting.anchorKey.variable); --new-key creates a key.")
        }
        let key = try SigningKey.read(path)
        let client = try server.client()
        // Taken before the heads are read. The anchor covers every event that was recorded before this time; it may
        // also cover later ones.
        let moment = Timestamp.now
        var heads: [LedgerHead] = []
        var cursor: String?
        repeat {
            let page = try await client.heads(cursor: cursor)
            heads += page.heads
            cursor = page.nextCursor
        } while cursor != nil
        let text = try AnchorFile.text(heads, at: moment, signedBy: key)
        if let output { try OutputFile.write(text, to: output) } else { Console.standard.write(text) }
        let jobsWithoutHead = heads.filter { $0.position == nil }
        for head in jobsWithoutHead {
            Console.standard.printToError(
                "job \(head.job) has no head and is not in the anchor; run 'progress-ledger verify \(head.job)'")
        }
        Console.standard.printToError(
            "anchored \(Count(heads.count - jobsWithoutHead.count, "job")), "
                + "signed by \(key.key.publicKey.fingerprint)")
        guard jobsWithoutHead.isEmpty else {
            throw CommandFailure(
                .verificationFailed, "The anchor lacks \(Count(jobsWithoutHead.count, "job")) without a head.")
        }
    }
}
