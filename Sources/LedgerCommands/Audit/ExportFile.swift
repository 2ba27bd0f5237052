import Ledger
import LedgerChain
import LedgerWire

/// An exported job in a file or on standard input.
struct ExportFile {
    let path: String

    init(_ path: String) {
        self.path = path
    }

    /// Whether the export is standard input, which can be read only once.
    var isStandardInput: Bool { path == "-" }

    /// Verifies the export and prints the result.
    func verify(_ anchor: AnchorFile?, json: Bool) throws(CommandFailure) {
        let (job, verification) = try check(anchor)
        if json {
            var writer = JSONWriter()
            VerificationResponse(job: job, verification).write(to: &writer)
            Console.standard.print(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            let anchorPosition = anchor?.heads.first { $0.job == job }?.position
            Console.standard.print(ChainVerifier.text(job, verification, anchor: anchorPosition))
        }
        guard verification.isIntact else {
            throw CommandFailure(.verificationFailed, "The export is not as it was recorded.")
        }
    }

    /// Recomputes the hash chain, without a server.
    ///
    /// - Throws: ``CommandFailure`` if the file is not an export, or if the anchor does not contain its job.
    func check(_ anchor: AnchorFile? = nil) throws(CommandFailure) -> (job: JobID, verification: Verification) {
        let reader = try Reader(path)
        let header = reader.header
        var anchorPosition: ChainPosition?
        if let anchor {
            guard let head = anchor.heads.first(where: { $0.job == header.job })?.position else {
                throw CommandFailure(.usage, "The anchor does not contain job \(header.job), which this file exports.")
            }
            anchorPosition = head
        }
        var check: ChainCheck?
        while let recorded = try reader.next() {
            if check == nil {
                guard case .jobCreated(let description) = recorded.event.body, recorded.event.sequence == 1 else {
                    throw CommandFailure(.verificationFailed, "\(path): the first event does not create the job.")
                }
                check = ChainCheck(
                    job: header.job, description: description, createdAt: recorded.event.recordedAt,
                    anchor: anchorPosition)
            }
            guard check?.check(recorded.event, hash: recorded.hash) == true else { break }
        }
        guard var check else { throw CommandFailure(.verificationFailed, "\(path) contains no events.") }
        check.finish(head: header.head, lastStored: check.position.sequence)
        return (header.job, check.verification(ledgerSequence: header.head.sequence))
    }

    /// A reader of the header and then of one event at a time.
    final class Reader {
        let header: LedgerExcerpt
        /// The bytes of the first line, unchanged.
        let headerLine: [UInt8]
        private let lines: LineFile
        private let path: String
        private var number = 1

        init(_ path: String) throws(CommandFailure) {
            self.path = path
            lines = try LineFile(path)
            guard let line = try lines.next() else { throw CommandFailure(.usage, "\(path) is empty.") }
            headerLine = line
            do { header = try LedgerExcerpt(header: try JSONReader.read(line)) } catch {
                throw CommandFailure(
                    .usage, "\(path) is not a file that 'progress-ledger export' wrote: \(error).")
            }
        }

        /// The next line with an event; nil at the end.
        func nextLine() throws(CommandFailure) -> [UInt8]? {
            number += 1
            return try lines.next()
        }

        func next() throws(CommandFailure) -> RecordedEvent? {
            guard let line = try nextLine() else { return nil }
            do { return try RecordedEvent(try JSONReader.read(line)) } catch {
                throw CommandFailure(.verificationFailed, "\(path), line \(number): not an exported event: \(error).")
            }
        }
    }
}
