import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verify that events are as they were recorded, and name what was changed.",
        discussion: """
            The server recomputes the hash chain from the events and compares it with the stored hashes, the job's \
            head and its description. Nothing is locked. --all verifies every job. --anchor also compares with an \
            anchor ('progress-ledger anchor') and so detects what the chain alone cannot: a completely rewritten \
            chain, a truncated ledger, a removed job, or a restored old copy. --file verifies an export without a \
            server. The exit code is 8 if anything is not as it was recorded.
            """)

    @OptionGroup var job: JobOptions

    @Flag(help: "Verify every job.")
    var all = false

    @Option(
        help: ArgumentHelp(
            "With --all: resume after this job, which an interrupted verification printed.", valueName: "job"))
    var cursor: String?

    @Option(help: ArgumentHelp("Verify every job of this anchor against it.", valueName: "file"))
    var anchor: String?

    @Option(
        help: ArgumentHelp(
            "The public key that must have signed the anchor, as a PEM file. Without it, the signer is not checked.",
            valueName: "file"))
    var publicKey: String?

    @Option(
        help: ArgumentHelp("Verify an export instead of a job on the server; - is standard input.", valueName: "file"))
    var file: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "With one job: resume after this event, which an interrupted verification printed.", valueName: "sequence"))
    var after: Int64?

    @Option(help: ArgumentHelp("The hash of the event given by --after.", valueName: "hash"))
    var hash: String?

    @Flag(help: "Print the server's JSON, one line per job.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        let hasJob = job.job != nil || job.key != nil
        guard [all, file != nil, hasJob].count(where: { $0 }) <= 1, !(anchor != nil && (all || hasJob)) else {
            throw ValidationError("Give one job, --all, --anchor or --file. Only --anchor and --file can be combined.")
        }
        guard all || cursor == nil else { throw ValidationError("--cursor requires --all.") }
        guard anchor != nil || publicKey == nil else { throw ValidationError("--public-key requires --anchor.") }
        guard (after == nil) == (hash == nil) else { throw ValidationError("Give --after and --hash together.") }
        guard after == nil || !(all || anchor != nil || file != nil) else {
            throw ValidationError("--after requires one job.")
        }
    }

    func run() async throws {
        let anchored = try anchor.map { try AnchorFile.read($0, signedBy: try publicKey.map(SigningKey.readPublic)) }
        if let file { return try ExportFile(file).verify(anchored, json: json) }
        let sweep = VerifySweep(verifier: RemoteChainVerifier(client: try server.client()), json: json)
        if let anchored { return try await sweep.verify(anchored) }
        if all { return try await sweep.verifyAll(after: cursor) }
        try await verifyOne(sweep.verifier)
    }

    private func verifyOne(_ verifier: RemoteChainVerifier) async throws {
        let id = try await job.resolve(verifier.client)
        var start: ChainPosition?
        if let after, let hash {
            guard let hash = EventHash(hash), after > 0 else {
                throw CommandFailure(.usage, "--hash must be the 64 hexadecimal digits of the event given by --after.")
            }
            start = ChainPosition(sequence: EventSequence(after), hash: hash)
        }
        let renderer = ProgressBarRenderer(unit: "events")
        let finding = try await verifier.verify(id, after: start) { verification in
            guard !verification.isComplete else { return }
            renderer.show(
                done: verification.sequence.number, total: verification.ledgerSequence.number,
                "resume with --after \(verification.sequence) --hash \(verification.headHash)")
        }
        renderer.clear()
        Console.standard.print(json ? finding.document : RemoteChainVerifier.text(id, finding.verification))
        guard finding.verification.isIntact else {
            throw CommandFailure(.verificationFailed, "The job's ledger is not as it was recorded.")
        }
    }
}

/// Verifies many jobs, one after the other, and prints a line for each.
struct VerifySweep {
    let verifier: RemoteChainVerifier
    let json: Bool

    private struct Counters {
        var checked: Int64 = 0
        var damaged: Int64 = 0
        var retired: Int64 = 0
        var events: Int64 = 0

        /// The number of retired jobs as a part of a sentence; empty if there are none.
        var text: String { retired > 0 ? ", \(retired) retired" : "" }
    }

    /// Verifies every job, in the order of their ids.
    func verifyAll(after cursor: String?) async throws {
        var total: Int64 = 0
        try await forEachPage(after: cursor) { heads in total += Int64(heads.count) }
        let renderer = ProgressBarRenderer(unit: "jobs")
        var counters = Counters()
        try await forEachPage(after: cursor) { heads in
            for head in heads {
                try await verify(head.job, nil, renderer, total, &counters, resume: "resume with --cursor \(head.job)")
            }
        }
        renderer.clear()
        Console.standard.printToError(
            "\(Count(counters.checked, "job")) checked, \(counters.damaged) not as recorded\(counters.text); "
                + "\(Count(counters.events, "event"))")
        guard counters.damaged == 0 else {
            throw CommandFailure(
                .verificationFailed, "\(counters.damaged) of \(counters.checked) jobs are not as they were recorded.")
        }
    }

    /// Verifies every job of an anchor; jobs created after the anchor are skipped.
    func verify(_ anchor: AnchorFile) async throws {
        let renderer = ProgressBarRenderer(unit: "jobs")
        var counters = Counters()
        for head in anchor.heads {
            try await verify(head.job, head.position, renderer, Int64(anchor.heads.count), &counters, resume: "")
        }
        renderer.clear()
        Console.standard.printToError(
            "anchored \(RFC3339.text(anchor.createdAt)), signed by \(anchor.publicKey.fingerprint): "
                + "\(Count(counters.checked, "job")) checked, \(counters.damaged) not as anchored\(counters.text)")
        guard counters.damaged == 0 else {
            throw CommandFailure(
                .verificationFailed, "\(counters.damaged) of \(counters.checked) jobs are not as they were anchored.")
        }
    }

    private func forEachPage(after cursor: String?, _ body: ([LedgerHead]) async throws -> Void) async throws {
        var cursor = cursor
        repeat {
            let page = try await verifier.client.heads(cursor: cursor)
            try await body(page.heads)
            cursor = page.nextCursor
        } while cursor != nil
    }

    private func verify(
        _ job: JobID, _ anchor: ChainPosition?, _ renderer: ProgressBarRenderer, _ total: Int64,
        _ counters: inout Counters,
        resume: String
    ) async throws {
        let line: String
        do throws(any Error) {
            let done = counters.checked
            let finding = try await verifier.verify(job, anchor: anchor) { verification in
                guard !verification.isComplete else { return }
                renderer.show(
                    done: done, total: total, "\(job) \(verification.sequence)/\(verification.ledgerSequence) events")
            }
            line =
                json ? finding.document : RemoteChainVerifier.text(job, finding.verification, anchor: anchor)
            if !finding.verification.isIntact { counters.damaged += 1 }
            if finding.verification.retiredAt != nil {
                counters.retired += 1
            } else {
                counters.events += finding.verification.sequence.number
            }
        } catch let error as LedgerClientError where error.code == .notFound {
            line =
                "\(job)  missing: \(anchor.map { "it was anchored at event \($0.sequence)" } ?? "it was just listed")"
            counters.damaged += 1
        }
        renderer.clear()
        Console.standard.print(line)
        counters.checked += 1
        renderer.show(done: counters.checked, total: total, resume)
    }
}
