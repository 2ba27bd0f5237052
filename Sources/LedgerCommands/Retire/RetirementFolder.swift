import Glibc
import Ledger
import LedgerStore
import LedgerWire

/// The folder for the exports of retired jobs.
///
/// A file that exists is never overwritten, because records may name it: a further export of the same jobs gets a
/// number. The records contain the place of a file, which may be elsewhere later.
struct RetirementFolder {
    let path: String
    /// The beginning of the recorded place; nil for the path of the folder.
    let place: String?

    /// A complete export that was read back.
    struct File {
        let path: String
        let export: Retirement.Export
        /// The jobs in it with their last events.
        let heads: [JobID: ChainPosition]
    }

    /// The number of files with the same name that are tried.
    private static let filesMax = 1_000
    /// The number of events that are read at once.
    private static let excerptMax = 2_000

    /// - Throws: ``CommandFailure`` if there is no such folder.
    init(path: String, place: String?) throws(CommandFailure) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let real = realpath(path, nil) else {
            throw CommandFailure(.usage, "There is no folder \(path). Create it, or give another one with --folder.")
        }
        defer { free(real) }
        self.path = String(cString: real)
        self.place = place
    }

    /// Returns an export in the folder that contains these jobs; nil without one.
    ///
    /// It contains each job up to its present head.
    func find(_ name: String, containing heads: [LedgerHead]) throws(CommandFailure) -> File? {
        for file in existing(name) {
            let found: File
            do throws(CommandFailure) { found = try read(file) } catch {
                // It may be an export that another job has made stale, or a damaged one. A new one is written.
                Console.standard.printToError("\(VisibleText.escape(file)) is not used: \(error.description)")
                continue
            }
            if heads.allSatisfy({ $0.position != nil && found.heads[$0.job] == $0.position }) { return found }
        }
        return nil
    }

    /// Returns the export in the folder with this hash; nil without one.
    func find(_ name: String, _ export: Retirement.Export) throws(CommandFailure) -> String? {
        for file in existing(name) where try LineFile.sha256(of: file) == export.sha256 { return file }
        return nil
    }

    private func existing(_ name: String) -> [String] {
        (1...Self.filesMax).map { file(name, $0) }.filter(Self.exists)
    }

    private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func file(_ name: String, _ number: Int) -> String {
        "\(path)/\(name)\(number == 1 ? "" : ".\(number)").ndjson"
    }

    /// Writes an export under the first free name, and reads it back.
    ///
    /// - Parameters:
    ///   - heads: The jobs, page by page; an empty page is the last one.
    func write(
        _ name: String, from store: RetirementStore, _ heads: (JobID?) async throws -> [LedgerHead]
    ) async throws -> File {
        guard let number = (1...Self.filesMax).first(where: { !Self.exists(file(name, $0)) })
        else {
            throw CommandFailure(
                .failed, "\(path) contains \(Self.filesMax) exports named \(name). Use another folder.")
        }
        let path = file(name, number)
        let output = try OutputFile(path)
        var page = try await heads(nil)
        while let last = page.last {
            for head in page { try await write(head, from: store, to: output) }
            page = try await heads(last.job)
        }
        try output.finish()
        try syncFolder()
        return try read(path)
    }

    /// Flushes the names of the files to the disk.
    ///
    /// A new file would otherwise disappear after a loss of power.
    private func syncFolder() throws(CommandFailure) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.failed, "Cannot read \(path): \(String(cString: strerror(errno)).lowercased()).")
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw CommandFailure(.failed, "Cannot write \(path): \(String(cString: strerror(errno)).lowercased()).")
        }
    }

    private func write(_ head: LedgerHead, from store: RetirementStore, to output: OutputFile) async throws {
        guard let position = head.position else {
            throw CommandFailure(.verificationFailed, "Job \(head.job) has no head. Verify it.")
        }
        var lines = JSONWriter()
        LedgerExcerpt(job: head.job, head: position).writeHeader(to: &lines)
        lines.newLine()
        var last = EventSequence.start
        while last < position.sequence {
            let limit = min(Self.excerptMax, position.sequence - last)
            let part = try await store.excerpt(head, through: position, after: last, limit: limit)
            guard let end = part.events.last?.event.sequence else {
                throw CommandFailure(
                    .verificationFailed, "Event \(last + 1) of job \(head.job) is missing. Verify the job.")
            }
            for event in part.events {
                event.write(to: &lines)
                lines.newLine()
            }
            try output.write(lines.bytes)
            lines = JSONWriter()
            last = end
        }
    }

    /// Reads a file and verifies its hash chains.
    ///
    /// - Throws: ``CommandFailure`` with the first fault.
    private func read(_ path: String) throws(CommandFailure) -> File {
        var heads: [JobID: ChainPosition] = [:]
        let sha256 = try ExportFile(path).check { job, verification throws(CommandFailure) in
            if let fault = verification.fault {
                throw CommandFailure(.verificationFailed, "\(path): job \(job): \(fault.detail).")
            }
            guard heads[job] == nil else {
                throw CommandFailure(.verificationFailed, "\(path) contains job \(job) twice.")
            }
            heads[job] = ChainPosition(sequence: verification.sequence, hash: verification.headHash)
        }
        let name = path.dropFirst(self.path.utf8.count + 1)
        return File(
            path: path, export: Retirement.Export(sha256: sha256, place: (place ?? "\(self.path)/") + name),
            heads: heads)
    }
}
