import ArgumentParser
import Ledger
import LedgerChain
import LedgerWire
import ProgressLedgerClient

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a job's whole ledger with its hash chain, as it was recorded.",
        discussion: """
            A line that says what it is, and a line of JSON for each event. 'verify --file' checks it anywhere, \
            'import' takes it over into another ledger. What was exported is checked on the way; a file is there as a \
            whole or not at all.
            """)

    @OptionGroup var job: JobOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Where to write; standard output unless told.", valueName: "file"))
    var output: String?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        let file = try output.map { path throws(CommandFailure) in try OutputFile(path) }
        let renderer = ProgressBarRenderer(unit: "events")
        var header: LedgerExcerpt?
        var check: ChainCheck?
        for try await line in client.exportLines(of: id) {
            let value = try JSONReader.read(line)
            if let header {
                let recorded = try RecordedEvent(value)
                if check == nil, case .jobCreated(let description) = recorded.event.body {
                    check = ChainCheck(job: id, description: description, createdAt: recorded.event.recordedAt)
                }
                guard check?.check(recorded.event, hash: recorded.hash) == true else {
                    throw CommandFailure(
                        .notWhole, check?.foundFault?.detail ?? "The first event does not create the job.")
                }
                if file != nil { renderer.show(done: recorded.event.sequence, total: header.head.sequence) }
            } else {
                header = try LedgerExcerpt(header: value)
            }
            if let file { try file.write(line + [UInt8(ascii: "\n")]) } else { Console.standard.print(line) }
        }
        renderer.clear()
        guard let header, check?.place == header.head else {
            throw CommandFailure(.notWhole, "The export broke off, or does not end with the hash that it began with.")
        }
        try file?.finish()
        Console.standard.note(
            "exported \(header.head.sequence) events of job \(id), head hash \(Hexadecimal.text(header.head.hash))")
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take over a job that was exported, under the same id, with its hash chain.",
        discussion: """
            Every hash is checked, here before anything is sent and by the server again. What the server has already is \
            compared and passed over, so an import that was interrupted is simply run again, and one that is repeated \
            changes nothing. A job that has gone another way there is refused.
            """)

    @Argument(help: "The file that 'export' has written; - is standard input, which is checked only as it is sent.")
    var file: String

    @OptionGroup var server: ServerOptions

    /// Events sent at once, and bytes: well below what the server takes.
    private static let eventsMax = 5_000
    private static let bytesMax = 8 << 20

    func run() async throws {
        let client = try server.client(usualPatience: 10)
        let export = ExportFile(file)
        if !export.isStandardInput {
            let (_, verification) = try export.check()
            if let fault = verification.fault {
                throw CommandFailure(.notWhole, "Nothing was sent: \(fault.detail).")
            }
        }
        let reader = try ExportFile.Reader(file)
        let renderer = ProgressBarRenderer(unit: "events")
        let first = reader.headerLine + [UInt8(ascii: "\n")]
        var (lines, count, sent, appended) = (first, 0, Int64(0), 0)
        func send() async throws {
            guard count > 0 else { return }
            appended += try await client.importLines(lines).appended
            sent += Int64(count)
            (lines, count) = (first, 0)
            renderer.show(done: sent, total: reader.header.head.sequence)
        }
        while let line = try reader.nextLine() {
            if count == Self.eventsMax || lines.count + line.count > Self.bytesMax { try await send() }
            lines += line + [UInt8(ascii: "\n")]
            count += 1
        }
        try await send()
        renderer.clear()
        guard sent == reader.header.head.sequence else {
            throw CommandFailure(
                .notWhole, "The export has \(sent) events and says that they are \(reader.header.head.sequence).")
        }
        Console.standard.print("\(reader.header.job)")
        Console.standard.note(
            "imported \(appended) events of job \(reader.header.job); \(sent - Int64(appended)) were there already")
    }
}
