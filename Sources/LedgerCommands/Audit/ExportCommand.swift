import ArgumentParser
import Ledger
import LedgerChain
import LedgerWire
import ProgressLedgerClient

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a job's complete ledger with its hash chain.",
        discussion: """
            The export is a header line, then a line of JSON for each event. 'verify --file' checks it anywhere; \
            'import' adds it to another ledger. The hash chain is checked during the export. A file is created \
            completely or not at all.
            """)

    @OptionGroup var job: JobOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write. Default: standard output.", valueName: "file"))
    var output: String?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        let file = try output.map { path throws(CommandFailure) in try OutputFile(path) }
        let renderer = ProgressBarRenderer(unit: "events")
        var header: LedgerExcerpt?
        var verifier: ChainVerifier?
        for try await line in client.exportLines(of: id) {
            let value = try JSONReader.read(line)
            if let header {
                let recorded = try RecordedEvent(value)
                if verifier == nil, case .jobCreated(let description) = recorded.event.body {
                    verifier = ChainVerifier(job: id, description: description, createdAt: recorded.event.recordedAt)
                }
                guard verifier?.check(recorded.event, hash: recorded.hash) == true else {
                    throw CommandFailure(
                        .verificationFailed, verifier?.foundFault?.detail ?? "The first event does not create the job.")
                }
                if file != nil {
                    renderer.show(done: recorded.event.sequence.number, total: header.head.sequence.number)
                }
            } else {
                header = try LedgerExcerpt(header: value)
            }
            if let file { try file.write(line + [UInt8(ascii: "\n")]) } else { Console.standard.print(line) }
        }
        renderer.clear()
        guard let header, verifier?.position == header.head else {
            throw CommandFailure(
                .verificationFailed, "The export is incomplete, or does not end with the head hash of its header.")
        }
        try file?.finish()
        Console.standard.printToError(
            "exported \(Count(header.head.sequence.number, "event")) of job \(id), "
                + "head hash \(header.head.hash)")
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Import exported jobs under the same ids, with their hash chains.",
        discussion: """
            Every hash is checked, by this command before anything is sent and again by the server. Events that the \
            server already has are compared and skipped, so an interrupted import can be run again, and a repeated \
            import changes nothing. A job whose events on the server differ from the file is refused.
            """)

    @Argument(
        help:
            "A file that 'export' or 'retire' wrote. With -, standard input is read, and checked only while it is sent."
    )
    var file: String

    @OptionGroup var server: ServerOptions

    /// The most events and bytes in one request: well below the server's limits.
    private static let eventsMax = 5_000
    private static let bytesMax = 8 << 20

    func run() async throws {
        let client = try server.client(defaultPatience: 10)
        let export = ExportFile(file)
        if !export.isStandardInput {
            _ = try export.check { job, verification throws(CommandFailure) in
                guard let fault = verification.fault else { return }
                throw CommandFailure(.verificationFailed, "Nothing was sent: job \(job): \(fault.detail).")
            }
        }
        let reader = try ExportFile.Reader(file)
        repeat { try await importJob(reader, client) } while try reader.nextJob()
    }

    /// Imports the job that the reader has reached.
    private func importJob(_ reader: ExportFile.Reader, _ client: LedgerClient) async throws {
        let renderer = ProgressBarRenderer(unit: "events")
        let first = reader.headerLine + [UInt8(ascii: "\n")]
        var (lines, count, sent, appended) = (first, 0, Int64(0), 0)
        func send() async throws {
            guard count > 0 else { return }
            appended += try await client.importLines(lines).appended
            sent += Int64(count)
            (lines, count) = (first, 0)
            renderer.show(done: sent, total: reader.header.head.sequence.number)
        }
        while let line = try reader.nextLine() {
            if count == Self.eventsMax || lines.count + line.count > Self.bytesMax { try await send() }
            lines += line + [UInt8(ascii: "\n")]
            count += 1
        }
        try await send()
        renderer.clear()
        guard sent == reader.header.head.sequence.number else {
            throw CommandFailure(
                .verificationFailed,
                "The export has \(Count(sent, "event")) but its header states \(reader.header.head.sequence).")
        }
        Console.standard.print("\(reader.header.job)")
        Console.standard.printToError(
            "imported \(Count(appended, "event")) of job \(reader.header.job); "
                + "\(sent - Int64(appended)) existed already")
    }
}
