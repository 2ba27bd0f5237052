import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerWire

/// Compares the fast parser of events with the general parser on the same bytes.
///
/// The fast parser accepts nothing that the general parser refuses, and its results are the same.
@Suite("Events of a request body", .ownThread)
struct EventRequestTests {
    /// The result of parsing a body.
    private enum Outcome: Equatable {
        case accepted([EventDraft])
        case acceptedForJobs([EventDraft], [JobID], pointers: [String])
        case refused(RequestError)
    }

    private func drafts(_ body: [UInt8], _ format: EventRequest.Format) -> Outcome {
        do throws(RequestError) { return .accepted(try EventRequest.drafts(body, format)) } catch {
            return .refused(error)
        }
    }

    private func entries(_ body: [UInt8], _ format: EventRequest.Format) -> Outcome {
        do throws(RequestError) {
            let entries = try EventRequest.entries(body, format)
            return .acceptedForJobs(entries.map(\.draft), entries.map(\.job), pointers: entries.map(\.location.pointer))
        } catch {
            return .refused(error)
        }
    }

    // MARK: The general reader alone

    /// Parses a body with the general parser alone.
    private func read(_ body: [UInt8], _ format: EventRequest.Format, namesJob: Bool) -> Outcome {
        var errors = FieldErrorList()
        var entries: [(EventRequest.Entry, String)] = []
        do throws(RequestError) {
            let (values, isIntact) = try values(body, format)
            for (index, value) in values.enumerated() {
                let location: EventRequest.Location = isIntact ? .whole : .element(index)
                if let entry = EventRequest.entry(value, location, namesJob: namesJob, &errors) {
                    entries.append((entry, location.pointer))
                }
            }
            if values.isEmpty { errors.add("", "contains no event") }
            guard errors.isEmpty else { throw .invalid(errors.list) }
        } catch {
            return .refused(error)
        }
        let drafts = entries.map(\.0.draft)
        return namesJob
            ? .acceptedForJobs(drafts, entries.compactMap(\.0.job), pointers: entries.map(\.1)) : .accepted(drafts)
    }

    private func values(
        _ body: [UInt8], _ format: EventRequest.Format
    ) throws(RequestError) -> (values: [JSONValue], isIntact: Bool) {
        guard format == .lines else {
            do throws(JSONError) {
                let value = try JSONReader.read(body)
                return value.elements.map { ($0, false) } ?? ([value], true)
            } catch {
                throw .unreadable("the body is not JSON: \(error)")
            }
        }
        var values: [JSONValue] = []
        for (index, line) in body.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        where line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) {
            do throws(JSONError) { values.append(try JSONReader.read(Array(line))) } catch {
                throw .unreadable("line \(index + 1) is not JSON: \(error)")
            }
        }
        return (values, false)
    }

    /// An event in the common form.
    private static let plain =
        #"{"type":"progress","task":"task-7","execution":"task-7-1","attempt":1,"report":12,"label":"rows","total":10,"done":3}"#
    private static let named =
        #"{"job":"019a0000-0000-7000-8000-000000000001","type":"progress","task":"a","total":1}"#

    private static let others = [
        #"{"type":"execution_started","task":"é","attempt":1}"#,
        #"{ "task" : "a" , "type" : "execution_started" , "execution" : "x" }"#,
        #"{"type":"execution_finished","task":"a","outcome":"failed","at":"2026-11-23T18:30:00.5+01:00"}"#,
        #"{"type":"job_finished","outcome":"completed","at":"0001-01-01T00:00:00Z"}"#,
        #"{"type":"progress","task":"a","done":3,"carried":2,"unit":"bytes","part":"é","message":"reading é"}"#,
        #"{"type":"execution_finished","task":"a","outcome":"failed","message":"m","link":"https://example.com/?a=1"}"#,
        #"{"type":"execution_started","task":"a","attempt":1,"link":"http://[::1]:8080/"}"#,
        #"{"type":"progress","task":"\u00e9\n","label":"","total":9007199254740991}"#,
        #"{"type":"progress","task":"a","label":null,"done":1e3}"#,
    ]

    @Test("the fast parser reads events in the common form")
    func readsPlainEvents() {
        let texts = [Self.plain] + Self.others.dropLast(2)
        for text in texts {
            let bytes = Array(text.utf8)
            let (draft, isWholeLine) = bytes.withUnsafeBufferPointer { bytes in
                var reader = PlainEventReader(bytes, namesJob: false, endsAtLine: true)
                let entry = reader.read()
                return (entry?.draft, reader.takeEndOfLine())
            }
            #expect(isWholeLine)
            #expect(draft != nil, "\(text)")
            #expect(draft == general(bytes, namesJob: false)?.draft)
        }
    }

    @Test(
        "the fast parser leaves unusual and invalid events to the general parser",
        arguments: [
            "", "{}", "[]", "{", #"{"type":"progress"}"#, #"{"type":"progress","task":""}"#,
            #"{"type":"progress","task":"a","task":"a"}"#, #"{"type":"progress","task":"a","done":-1}"#,
            #"{"type":"progress","task":"a","done":01}"#, #"{"type":"progress","task":"a","done":1.0}"#,
            #"{"type":"progress","task":"a","done":1e0}"#, #"{"type":"progress","task":"a","done":9007199254740992}"#,
            #"{"type":"progress","task":"a","done":18446744073709551617}"#,
            #"{"type":"progress","task":"a","report":0}"#,
            #"{"type":"progress","task":"a","attempt":2147483648}"#, #"{"type":"progress","task":"a","label":null}"#,
            #"{"type":"progress","task":"a\n"}"#, #"{"type":"progress","task":"a","outcome":"failed"}"#,
            #"{"type":"progress","task":"a",}"#, #"{"type":"progress","task":"a","more":1}"#,
            #"{"type":"progress","task":"a","job":"019a0000-0000-7000-8000-000000000001"}"#,
            #"{"type":"progress","task":"a","at":"10000-01-01T00:00:00Z"}"#,
            #"{"type":"progress","task":"a","at":"9999-12-31T23:59:59-01:00"}"#,
            #"{"type":"execution_started","task":"a"}"#,
            #"{"type":"execution_started","task":"a","attempt":1,"done":1}"#,
            #"{"type":"execution_finished","task":"a"}"#,
            #"{"type":"execution_finished","task":"a","outcome":"completed"}"#,
            #"{"type":"job_finished","outcome":"succeeded"}"#,
            #"{"type":"job_finished","outcome":"failed","task":"a"}"#,
            #"{"type":"job_finished","outcome":"failed","link":"https://example.com/"}"#,
            #"{"type":"execution_started","task":"a","attempt":1,"message":"m"}"#,
            #"{"type":"progress","task":"a","done":1,"carried":2}"#, #"{"type":"progress","task":"a","unit":""}"#,
            #"{"type":"progress","task":"a","link":"https://u@example.com/"}"#,
            "{\"type\":\"progress\",\"task\":\"a\",\"unit\":\"a\u{85}b\"}",
            "{\"type\":\"progress\",\"task\":\"a\",\"message\":\"a\u{7F}b\"}",
            #"{"type":"job_created","name":"a"}"#, "{\"type\":\"progress\",\n\"task\":\"a\"}",
            "{\"type\":\"progress\",\"task\":\"\(String(repeating: "é", count: 101))\"}",
        ])
    func leavesToGeneralParser(text: String) {
        let read = Array(text.utf8).withUnsafeBufferPointer { bytes in
            var reader = PlainEventReader(bytes, namesJob: false, endsAtLine: true)
            return reader.read() != nil
        }
        #expect(!read)
    }

    private func general(_ bytes: [UInt8], namesJob: Bool) -> EventRequest.Entry? {
        var errors = FieldErrorList()
        // Text that is not JSON contains no event: the error is the expected result here.
        guard let value = try? JSONReader.read(bytes) else { return nil }
        let entry = EventRequest.entry(value, .whole, namesJob: namesJob, &errors)
        return errors.isEmpty ? entry : nil
    }

    /// Damages a text up to three times, so that it often stays nearly valid.
    private func damaged(_ text: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = text
        let pieces: [String] = [
            "\"", "\\", "{", "}", ",", ":", " ", "\n", "\r", "null", "0", "1", "9", "-", ".", "e", "\\n", "é", "\u{0}",
            "task", "type", "\"done\":1,", "true", "\u{7F}",
        ]
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            guard !bytes.isEmpty else { break }
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: index)
            case 3: bytes.swapAt(index, bytes.count - 1 - index)
            case 4: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...9, using: &generator)))
            default: bytes.insert(contentsOf: pieces.randomElement(using: &generator)!.utf8, at: index)
            }
        }
        return bytes
    }

    @Test(
        "the fast parser agrees with the general parser on randomly damaged events",
        arguments: [UInt64(1), 2, 3, 4, 5, 6, 7, 8])
    func agreesOnDamagedEvents(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var acceptedCount = 0
        for _ in 0..<10_000 {
            let text = ([Self.plain, Self.named] + Self.others).randomElement(using: &generator)!
            let bytes = damaged(Array(text.utf8), &generator)
            let namesJob = Int.random(in: 0..<4, using: &generator) == 0
            let plain: (EventRequest.Entry, Int)? = bytes.withUnsafeBufferPointer { bytes in
                var reader = PlainEventReader(bytes, namesJob: namesJob, endsAtLine: false)
                return reader.read().map { ($0, reader.position) }
            }
            guard let (entry, end) = plain else { continue }
            acceptedCount += 1
            let expected = try #require(general(Array(bytes[..<end]), namesJob: namesJob), "seed \(seed)")
            #expect(entry.draft == expected.draft && entry.job == expected.job, "seed \(seed)")
        }
        // Otherwise too little was compared.
        #expect(acceptedCount > 1_000)
    }

    @Test(
        "both parsers give the same drafts or the same problems for every body",
        arguments: [UInt64(11), 12, 13, 14])
    func agreesOnBodies(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1_500 {
            let isLines = Bool.random(using: &generator)
            let events = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                let text = ([Self.plain, Self.named] + Self.others).randomElement(using: &generator)!
                let isDamaged = Int.random(in: 0..<3, using: &generator) == 0
                return isDamaged ? damaged(Array(text.utf8), &generator) : Array(text.utf8)
            }
            var body = Array(events.joined(separator: [UInt8(ascii: isLines ? "\n" : ",")]))
            if !isLines, events.count != 1 || Bool.random(using: &generator) {
                body = Array("[".utf8) + body + Array("]".utf8)
            }
            let format: EventRequest.Format = isLines ? .lines : .json
            for namesJob in [false, true] {
                let found = namesJob ? entries(body, format) : drafts(body, format)
                #expect(
                    found == read(body, format, namesJob: namesJob),
                    "seed \(seed): \(String(decoding: body, as: UTF8.self))")
            }
        }
    }

    @Test(
        "more events than one append may have are refused by both parsers",
        arguments: [plain, others[others.count - 2]])
    func refusesTooMany(event: String) {
        let most = Array(repeating: event, count: Limits.eventsPerAppendMax)
        for (format, start, separator, end) in [(EventRequest.Format.json, "[", ",", "]"), (.lines, "", "\n", "\n")] {
            let body = start + most.joined(separator: separator)
            guard case .accepted(let accepted) = drafts(Array((body + end).utf8), format) else {
                Issue.record("the body was refused")
                continue
            }
            #expect(accepted.count == Limits.eventsPerAppendMax)
            #expect(drafts(Array((body + separator + event + end).utf8), format) == .refused(.tooManyEvents))
        }
    }
}
