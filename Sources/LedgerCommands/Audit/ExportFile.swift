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

    /// Verifies the jobs of the export and prints the results.
    func verify(_ anchor: AnchorFile?, json: Bool) throws(CommandFailure) {
        var damaged = 0
        _ = try check(anchor) { job, verification throws(CommandFailure) in
            if json {
                var writer = JSONWriter()
                VerificationResponse(job: job, verification).write(to: &writer)
                Console.standard.print(String(decoding: writer.bytes, as: UTF8.self))
            } else {
                let anchorPosition = anchor?.heads.first { $0.job == job }?.position
                Console.standard.print(RemoteChainVerifier.text(job, verification, anchor: anchorPosition))
            }
            if !verification.isIntact { damaged += 1 }
        }
        guard damaged == 0 else {
            throw CommandFailure(.verificationFailed, "The export is not as it was recorded.")
        }
    }

    /// Recomputes the hash chains of the jobs, without a server.
    ///
    /// - Parameter body: Called with the result of each job.
    /// - Returns: The SHA-256 of the file.
    /// - Throws: ``CommandFailure`` if the file is not an export, or if the anchor does not contain one of its jobs;
    ///   the error of the closure.
    func check(
        _ anchor: AnchorFile? = nil, _ body: (JobID, Verification) throws(CommandFailure) -> Void
    ) throws(CommandFailure) -> EventHash {
        let reader = try Reader(path)
        repeat { try body(reader.header.job, try check(reader, anchor)) } while try reader.nextJob()
        return reader.sha256
    }

    /// Recomputes the hash chain of the job that the reader has reached.
    private func check(_ reader: Reader, _ anchor: AnchorFile?) throws(CommandFailure) -> Verification {
        let header = reader.header
        var anchorPosition: ChainPosition?
        if let anchor {
            guard let head = anchor.heads.first(where: { $0.job == header.job })?.position else {
                throw CommandFailure(.usage, "The anchor does not contain job \(header.job), which this file exports.")
            }
            anchorPosition = head
        }
        var verifier: ChainVerifier?
        while let recorded = try reader.next() {
            if verifier == nil {
                guard case .jobCreated(let description) = recorded.event.body, recorded.event.sequence == 1 else {
                    throw CommandFailure(
                        .verificationFailed, "\(path): the first event of job \(header.job) does not create it.")
                }
                verifier = ChainVerifier(
                    job: header.job, description: description, createdAt: recorded.event.recordedAt,
                    anchor: anchorPosition)
            }
            // After a fault, the rest of the job is only skipped.
            _ = verifier?.check(recorded.event, hash: recorded.hash)
        }
        guard var verifier else {
            throw CommandFailure(.verificationFailed, "\(path) contains no events of job \(header.job).")
        }
        verifier.finish(head: header.head, lastStored: verifier.position.sequence)
        return verifier.verification(ledgerSequence: header.head.sequence)
    }

    /// A reader of the jobs: of each the header, and then one event at a time.
    final class Reader {
        /// The header of the present job.
        private(set) var header: LedgerExcerpt
        /// The bytes of its line, unchanged.
        private(set) var headerLine: [UInt8]
        private let lines: LineFile
        private let path: String
        private var number = 1
        /// The header of the next job, once the events of the present one were read.
        private var following: [UInt8]?

        /// The beginning of a header, which no event has.
        private static let headerStart = Array(#"{"format":"#.utf8)

        init(_ path: String) throws(CommandFailure) {
            self.path = path
            lines = try LineFile(path)
            guard let line = try lines.next() else { throw CommandFailure(.usage, "\(path) is empty.") }
            headerLine = line
            header = try Self.header(line, path)
        }

        private static func header(_ line: [UInt8], _ path: String) throws(CommandFailure) -> LedgerExcerpt {
            do { return try LedgerExcerpt(header: try JSONReader.read(line)) } catch {
                throw CommandFailure(
                    .usage, "\(path) is not a file that 'progress-ledger export' wrote: \(error).")
            }
        }

        /// The SHA-256 of the file, once all jobs were read.
        var sha256: EventHash { lines.sha256 }

        /// Advances to the next job, after the last event of the present one.
        ///
        /// - Returns: Whether there is one.
        func nextJob() throws(CommandFailure) -> Bool {
            guard let line = following else { return false }
            following = nil
            headerLine = line
            header = try Self.header(line, path)
            return true
        }

        /// The next line with an event of the present job; nil at the end.
        func nextLine() throws(CommandFailure) -> [UInt8]? {
            guard following == nil, let line = try lines.next() else { return nil }
            number += 1
            guard !line.starts(with: Self.headerStart) else {
                following = line
                return nil
            }
            return line
        }

        func next() throws(CommandFailure) -> RecordedEvent? {
            guard let line = try nextLine() else { return nil }
            do { return try RecordedEvent(try JSONReader.read(line)) } catch {
                throw CommandFailure(.verificationFailed, "\(path), line \(number): not an exported event: \(error).")
            }
        }
    }
}
