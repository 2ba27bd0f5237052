import Ledger
import LedgerChain
import LedgerTestSupport
import Testing

@Suite("The hash chain", .ownThread)
struct HashChainTests {
    /// A second implementation of ``Event/canonicalEncoding``, without regard to speed.
    private func encoded(_ event: Event) -> [UInt8] {
        func integer(_ value: Int64, _ count: Int = 8) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> Int64(8 * $0)) }
        }
        func text(_ name: Name) -> [UInt8] { integer(Int64(name.text.utf8.count), 4) + Array(name.text.utf8) }
        var bytes: [UInt8] = [1, UInt8(event.body.type.rawValue)]
        bytes += integer(event.sequence.number) + integer(event.recordedAt.microseconds)
        func field(_ number: UInt8, _ value: Int64?) {
            if let value { bytes += [number] + integer(8, 4) + integer(value) }
        }
        func field(_ number: UInt8, _ name: Name?) {
            if let name { bytes += [number] + text(name) }
        }
        field(1, event.at?.microseconds)
        field(2, event.body.reference?.task)
        field(3, event.body.reference?.execution)
        field(4, event.body.reference?.attempt.map { Int64($0) })
        switch event.body {
        case .progress(let report):
            field(5, report.report)
            field(6, report.label)
            field(7, report.total)
            field(8, report.done)
        case .executionFinished(_, let outcome): field(9, Name(outcome.rawValue))
        case .jobFinished(let outcome): field(9, Name(outcome.rawValue))
        case .executionStarted: break
        case .jobCreated(let description):
            field(10, description.name)
            field(11, description.key)
            let tags = description.sortedTags.flatMap { text($0.name) + text($0.value) }
            if !tags.isEmpty { bytes += [12] + integer(Int64(tags.count), 4) + tags }
        }
        field(13, event.message)
        field(14, event.link)
        let report: ProgressReport? = if case .progress(let report) = event.body { report } else { nil }
        field(15, report?.unit)
        field(16, event.reporter)
        field(17, report?.part)
        field(18, report?.carried)
        return bytes
    }

    @Test("every event is encoded as specified", arguments: [UInt64(1), 2, 3])
    func encoding(seed: UInt64) {
        let description = JobDescription(name: "é", key: "k", tags: ["b": "2", "a": "", "e\u{301}": "3"])
        let events =
            [Event(sequence: 1, recordedAt: .earliest, at: .latest, body: .jobCreated(description))]
            + RandomHistory.events(count: 500, seed: seed)
        let reported = events.map {
            EventDraft($0.body, at: $0.at, reporter: "token:é", message: $0.message, link: $0.link)
                .recorded(sequence: $0.sequence, at: $0.recordedAt)
        }
        for event in events + reported { #expect(event.canonicalEncoding == encoded(event), "seed \(seed): \(event)") }
    }

    @Test("a shared workspace does not change the hashes")
    func sharedWorkspace() {
        let job = JobID(high: 0x019A_0000_0000_7000, low: 0x8000_0000_0000_0001)
        var one = HashChain(job: job)
        var other = one
        var workspace = HashChain.Workspace()
        for event in RandomHistory.events(count: 500, seed: 9) {
            other.append(event, in: &workspace)
            #expect(one.append(event) == other.lastHash)
        }
        #expect(one == other)
    }

    @Test("a hash reads back from its 32 bytes and its 64 digits, and from nothing else")
    func representations() throws {
        let bytes = (0..<32).map { UInt8($0 * 7) }
        let hash = try #require(EventHash(bytes: bytes))
        #expect(hash.bytes == bytes)
        #expect(hash.description == "00070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9")
        #expect(EventHash(hash.description) == hash && EventHash(hash.description.uppercased()) == hash)
        #expect(EventHash(bytes: bytes + [0]) == nil && EventHash(bytes: bytes.dropLast()) == nil)
        for text in ["", "0", String(hash.description.dropLast()), hash.description + "0"] {
            #expect(EventHash(text) == nil, "\(text)")
        }
        #expect(EventHash(String(repeating: "g", count: 64)) == nil)
        #expect(EventHash(String(repeating: "é", count: 32)) == nil)
    }

    /// The expected value was computed with Python's hashlib from the specification.
    @Test("a known event keeps its known hash")
    func knownHash() throws {
        let job = try #require(JobID("019a0000-0000-7000-8000-000000000001"))
        let reference = ExecutionReference(task: "task-7", execution: "task-7-1", attempt: 1)
        var chain = HashChain(job: job)
        _ = chain.append(
            Event(
                sequence: 1, recordedAt: Timestamp(microseconds: 1_700_000_000_000_000),
                body: .jobCreated(JobDescription(name: "bench", tags: ["a": "b"]))))
        let hash = chain.append(
            Event(
                sequence: 2, recordedAt: Timestamp(microseconds: 1_700_000_000_000_001),
                at: Timestamp(microseconds: -1),
                body: .progress(ProgressReport(reference: reference, report: 12, label: "rows", total: 10, done: 3))))
        let expected = "f0 1e 9 51 e9 e1 a6 5a 6e d8 9b 50 ac c8 e7 75 7b 92 3c c1 d2 5e 8b 6c c ea e9 65 3e a7 63 7c"
        #expect(hash.bytes.map { String($0, radix: 16) }.joined(separator: " ") == expected)
    }

    /// The expected value was computed with Python's hashlib from the specification.
    @Test("a known event with a reporter keeps its known hash")
    func knownHashWithReporter() throws {
        let job = try #require(JobID("019a0000-0000-7000-8000-000000000001"))
        var chain = HashChain(job: job)
        _ = chain.append(
            Event(
                sequence: 1, recordedAt: Timestamp(microseconds: 1_700_000_000_000_000), reporter: "token:nightly é",
                body: .jobCreated(JobDescription(name: "bench", tags: ["a": "b"]))))
        let hash = chain.append(
            Event(
                sequence: 2, recordedAt: Timestamp(microseconds: 1_700_000_000_000_001), reporter: "token:nightly é",
                body: .jobFinished(.completed)))
        #expect(hash.description == "d121b0f6608d8a7b883a913d1ebe040f67ed4525e1cae6a6882164ffab7fd468")
    }

    /// A progress event with one of the optional fields, or with all of them.
    private static let noted: [(field: String, draft: EventDraft, hash: String)] = {
        let reference = ExecutionReference(task: "t", attempt: 1)
        func draft(
            message: Name? = nil, link: Name? = nil, unit: Name? = nil, part: Name? = nil, carried: Int64? = nil,
            reporter: Name? = nil
        ) -> EventDraft {
            let report = ProgressReport(
                reference: reference, report: 1, done: 5, carried: carried, unit: unit, part: part)
            return EventDraft(.progress(report), reporter: reporter, message: message, link: link)
        }
        return [
            (
                "message", draft(message: "reading é\nline 2"),
                "cdf8260ac1ce37da274d7c9682a32851fdc757a8c3e6aa752ffb80bec8631c5d"
            ),
            (
                "link", draft(link: "https://example.com/log?n=1#L7"),
                "a4b4afda6e59b9c01d9e21b4851d1b8c432849956a4d34c4c351e8386f80fa28"
            ), ("unit", draft(unit: "bytes"), "9dcb3a030ae90afe60a6621d1f25b9e3f9f34cfad221e69c26b52f064793fe9f"),
            ("part", draft(part: "worker 0"), "d3ed291a822ded5ce3c5ccb83bc368ab0f008bea4c00152e10eb507b1187ce62"),
            ("carried", draft(carried: 3), "427026bad2949d37fb7a8d58033089155e89b0e4bcd17dbf251a80addf10b232"),
            (
                "all",
                draft(
                    message: "m", link: "https://example.com/", unit: "tiles", part: "p", carried: 0,
                    reporter: "token:a"), "600f19db1938d8a562b69f2fbc3997fa4aeee80d0c1fe06a4ee49ef02fa8a888"
            ),
        ]
    }()

    /// The expected values were computed with Python's hashlib from the specification.
    @Test("a known event with each optional field keeps its known hash", arguments: noted)
    func knownHashWithNotes(_ field: String, _ draft: EventDraft, _ hash: String) throws {
        let job = try #require(JobID("019a0000-0000-7000-8000-000000000001"))
        var chain = HashChain(job: job)
        let start = Timestamp(microseconds: 1_700_000_000_000_000)
        _ = chain.append(Event(sequence: 1, recordedAt: start, body: .jobCreated(JobDescription(name: "bench"))))
        #expect(chain.append(draft.recorded(sequence: 2, at: start)).description == hash, "\(field)")
    }
}
