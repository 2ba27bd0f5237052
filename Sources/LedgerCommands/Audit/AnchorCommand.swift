import ArgumentParser
import Crypto
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient

struct AnchorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "anchor",
        abstract: "Write a small signed file of where every job's ledger ends, to be kept elsewhere.",
        discussion: """
            'verify --anchor FILE' then proves that every event up to there is still there, unchanged: also against \
            somebody who can rewrite the whole database. Keep the file, and the private key, where such a person does \
            not reach; write one as often as you want to be able to prove something. The key is made once, by \
            --new-key FILE, which also writes FILE.pub for whoever verifies.
            """)

    @Option(help: ArgumentHelp("The Ed25519 private key, in PEM. PROGRESS_LEDGER_ANCHOR_KEY.", valueName: "file"))
    var key: String?

    @Option(help: ArgumentHelp("Make a key in this file, which must not be there yet, and leave.", valueName: "file"))
    var newKey: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("Where to write; standard output unless told.", valueName: "file"))
    var output: String?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        if let newKey {
            let key = SigningKey.make()
            try key.write(newKey)
            return Console.standard.note(
                "made \(newKey), and \(newKey).pub for whoever verifies; fingerprint \(key.key.publicKey.fingerprint)")
        }
        let configured = ProcessInfo.processInfo.environment[Setting.anchorKey.variable]
        guard let path = key ?? configured, !path.isEmpty else {
            throw CommandFailure(
                .usage, "Which key signs it? Give --key, or set \(Setting.anchorKey.variable); --new-key makes one.")
        }
        let key = try SigningKey.read(path)
        let client = try server.client()
        // Read first: what is recorded later than this moment may be in it, and what is recorded before it is.
        let moment = Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
        var heads: [LedgerHead] = []
        var cursor: String?
        repeat {
            let page = try await client.heads(cursor: cursor)
            heads += page.heads
            cursor = page.nextCursor
        } while cursor != nil
        let text = try AnchorFile.text(heads, at: moment, signedBy: key)
        if let output { try OutputFile.write(text, to: output) } else { Console.standard.write(text) }
        let headless = heads.filter { $0.place == nil }
        for head in headless { Console.standard.note("\(head.job) has no head and is not in it: verify it") }
        Console.standard.note(
            "anchored \(heads.count - headless.count) jobs, signed by \(key.key.publicKey.fingerprint)")
        guard headless.isEmpty else { throw CommandFailure(.notWhole, "\(headless.count) jobs have no head.") }
    }
}
