import FoundationEssentials
import Ledger
import LedgerWire
import NIOCore
import NIOHTTP1
import Testing

@testable import ProgressLedgerClient

/// Tests of the report buffer by the table of cases that all clients share.
@Suite("Reporter contract")
struct ReporterContractTests {
    @Test(
        "every case has its requests, pauses and statistics, whatever the random pauses",
        arguments: try ContractTable.read().cases + ContractTable.readNotesAndParts(), [0, 0.5, 1])
    func cases(one: ContractTable.Case, chance: Double) throws {
        var simulation = ContractSimulation(one, chance: chance)
        try simulation.run()
        try #require(simulation.requests.count == one.requests.count, "\(simulation.requests)")
        for (request, expected) in zip(simulation.requests, one.requests) {
            #expect(ContractSimulation.comparable(request.events) == expected.drafts(ContractSimulation.reference))
            let moment = expected.at == nil ? request.pause : request.at
            let bounds = try #require(expected.at ?? expected.pause)
            let tolerance = 0.001
            #expect(moment >= bounds[0] - tolerance && moment <= bounds[1] + tolerance, "not in \(bounds)")
        }
        #expect(ContractTable.Statistics(simulation.buffer.statistics) == one.statistics)
        #expect(simulation.jobEnds == one.job_ends ?? [])
    }

    @Test("the limits are those of the contract")
    func limits() throws {
        var contract = try ContractTable.read().contract
        // A ``JobWatch`` does not resume by itself.
        contract["watch_outage_seconds_max"] = nil
        let found: [String: Double] = [
            "report_seconds": ReportBuffer.delayMax / .seconds(1),
            "request_seconds": LedgerJob.reportDeadline / .seconds(1),
            "pause_seconds_min": ReportBuffer.pauses.first / .seconds(1),
            "pause_seconds_max": ReportBuffer.pauses.longest / .seconds(1),
            "retry_after_seconds_max": ReportBuffer.requestedPauseMax / .seconds(1),
            "retry_after_spread": ReportBuffer.requestedPauseSpread,
            "events_per_request_max": Double(ReportBuffer.eventsPerBatchMax),
            "labels_per_execution_max": Double(Limits.labelsPerExecutionMax),
            "increment_max": Double(Limits.increments.upperBound),
            "heartbeat_seconds": ReportBuffer.heartbeatInterval / .seconds(1),
            "delivery_seconds_after_end": ReportBuffer.deliveryTimeAfterEnd / .seconds(1),
        ]
        #expect(found == contract)
    }
}

/// The table of cases; its README describes the fields.
struct ContractTable: Decodable {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let calls: [Call]
        let replies: [Reply]
        let until: Double
        let requests: [Request]
        let statistics: Statistics
        let superseded_from: Double?
        let job_ends: [String]?
        let seconds_after_last: Double?
        let attached: Bool?

        var testDescription: String { name }
    }

    struct Call: Decodable, Sendable {
        let at: Double
        let call: String
        let label: String?
        let n: Int64?
        let count: Int?
        let outcome: String?
        let message: String?
        let link: String?
        let unit: String?
    }

    struct Reply: Decodable, Sendable {
        let reply: String
        var after: Double?
        var status: Int?
        var problem: Bool?
        var retry_after: Int?
        var refused: [Int]?
        var pointers: [String]?
        var verdict: String?
        var job_state: String?
    }

    struct Request: Decodable, Sendable {
        let at: [Double]?
        let pause: [Double]?
        let events: [Event]?
        let reports: [Int64]?

        /// Returns the expected events of an execution.
        func drafts(_ reference: ExecutionReference) -> [EventDraft] {
            var events = events ?? []
            if let reports {
                for report in reports[0]...reports[1] {
                    events.append(
                        Event(type: "progress", report: report, label: "label \(report - reports[0])", done: 1))
                }
            }
            return events.map { $0.draft(reference) }
        }
    }

    struct Event: Decodable, Sendable {
        let type: String
        var report: Int64?
        var label: String?
        var total: Int64?
        var done: Int64?
        var carried: Int64?
        var outcome: String?
        var message: String?
        var link: String?
        var unit: String?
        var part: String?

        func draft(_ reference: ExecutionReference) -> EventDraft {
            let body: EventBody =
                switch type {
                case "execution_started": .executionStarted(reference)
                case "execution_finished":
                    .executionFinished(reference, outcome.flatMap { ExecutionOutcome(rawValue: $0) } ?? .canceled)
                default:
                    .progress(
                        ProgressReport(
                            reference: reference, report: report, label: label.map { Name($0) }, total: total,
                            done: done, carried: carried, unit: unit.map { Name($0) }, part: part.map { Name($0) }))
                }
            return EventDraft(body, message: message.map { Name($0) }, link: link.map { Name($0) })
        }
    }

    struct Statistics: Decodable, Hashable, Sendable {
        let taken: UInt64
        let refused: UInt64
        let delivered: UInt64
        let discarded: UInt64
        let dropped: UInt64
        let pending: UInt64
        let failures: UInt64
        let is_superseded: Bool
        let has_error: Bool
        let job_ended: String?

        init(_ statistics: ReportStatistics) {
            taken = statistics.taken
            refused = statistics.refused
            delivered = statistics.delivered
            discarded = statistics.discarded
            dropped = statistics.dropped
            pending = statistics.pending
            failures = statistics.failures
            is_superseded = statistics.isSuperseded
            has_error = statistics.lastError != nil
            job_ended = statistics.jobEnded?.rawValue
        }
    }

    let contract: [String: Double]
    let cases: [Case]

    private struct Cases: Decodable {
        let cases: [Case]
    }

    static func read() throws -> ContractTable { try read("cases.json") }

    /// The cases of messages, links, units, positions, carried units and parts.
    static func readNotesAndParts() throws -> [Case] { try read("notes-and-parts.json", as: Cases.self).cases }

    private static func read<Table: Decodable>(_ name: String, as type: Table.Type = Table.self) throws -> Table {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let path = "/\(tests)/reporter-contract/\(name)"
        guard let content = FileManager.default.contents(atPath: path) else { throw CocoaError(.fileNoSuchFile) }
        return try JSONDecoder().decode(Table.self, from: content)
    }
}

/// One case: calls of a task, decisions of the buffer, and replies of a server.
///
/// They share one simulated clock.
struct ContractSimulation {
    static let reference = ExecutionReference(task: "tile-17", execution: "e", attempt: 2)

    private struct Flight {
        let events: [EventDraft]
        let awaitsVerdicts: Bool
        let reply: ContractTable.Reply
    }

    private let one: ContractTable.Case
    private let chance: Double
    private let began = ContinuousClock.now
    private var now: ContinuousClock.Instant
    private var answeredAt: ContinuousClock.Instant
    private var calls: ArraySlice<ContractTable.Call>
    private var replies: ArraySlice<ContractTable.Reply>
    /// The request in flight; its reply arrives at `answeredAt`.
    private var flight: Flight?
    private(set) var requests: [(at: Double, pause: Double, events: [EventDraft])] = []
    private(set) var buffer: ReportBuffer
    /// The ends of the job of which the buffer notifies the task.
    private(set) var jobEnds: [String] = []

    init(_ one: ContractTable.Case, chance: Double) {
        self.one = one
        self.chance = chance
        now = began
        answeredAt = began
        calls = one.calls[...]
        replies = one.replies[...]
        let notes = ReportNotes(link: one.calls.first { $0.call == "start" }?.link)
        buffer = ReportBuffer(Self.reference, part: one.attached == true ? "part" : nil, link: notes.link)
    }

    /// The events with -1 instead of a random number of the upper half of all numbers.
    static func comparable(_ events: [EventDraft]) -> [EventDraft] {
        events.map { event in
            guard case .progress(var report) = event.body, let number = report.report,
                number > Limits.reports.upperBound / 2
            else { return event }
            report.report = -1
            return EventDraft(.progress(report), message: event.message, link: event.link)
        }
    }

    mutating func run() throws {
        var isStarted = false
        while true {
            var moment = flight == nil ? nil : answeredAt
            if flight == nil, isStarted {
                switch buffer.next(now: now) {
                case .send(let events, let awaitsVerdicts):
                    send(events, awaitsVerdicts: awaitsVerdicts)
                    continue
                case .readStartVerdict:
                    buffer.verdictRead(isSuperseded ? .superseded : .counted, now: now)
                    continue
                case .wait(let until): moment = until
                case .stop: break
                }
            }
            let nextCall = calls.first.map { began + .seconds($0.at) }
            let isCall = nextCall.map { call in moment.map { call <= $0 } ?? true } ?? false
            guard let next = isCall ? nextCall : moment, next <= end else { return }
            now = next
            if isCall {
                let call = calls.removeFirst()
                isStarted = isStarted || call.call == "start"
                try make(call)
            } else if flight != nil {
                try receive()
            }
        }
    }

    /// The end of the simulation.
    private var end: ContinuousClock.Instant {
        let end = began + .seconds(one.until)
        guard let seconds = one.seconds_after_last, requests.count >= one.requests.count else { return end }
        return min(end, answeredAt + .seconds(seconds))
    }

    private var isSuperseded: Bool { one.superseded_from.map { now >= began + .seconds($0) } ?? false }

    /// Makes a call of the task.
    private mutating func make(_ call: ContractTable.Call) throws {
        switch call.call {
        case "add": report(call, DetailedReport(total: try #require(call.n)))
        case "done": report(call, DetailedReport(done: try #require(call.n)))
        case "skip": report(call, DetailedReport(done: try #require(call.n), kind: .carried))
        case "set_total": report(call, DetailedReport(total: try #require(call.n), kind: .position))
        case "set_done": report(call, DetailedReport(done: try #require(call.n), kind: .position))
        case "done_labels":
            for number in 0..<(try #require(call.count)) { report("label \(number)", DetailedReport(done: 1)) }
        case "flush": _ = buffer.flush()
        case "finish":
            let outcome = try #require(call.outcome.flatMap { ExecutionOutcome(rawValue: $0) })
            let notes = ReportNotes(message: call.message, link: call.link)
            buffer.countDroppedNotes(UInt64(notes.refusals.count))
            buffer.end(outcome, message: notes.message, link: notes.link, now: now)
        default: break
        }
    }

    private mutating func report(_ call: ContractTable.Call, _ report: DetailedReport) {
        let notes = ReportNotes(message: call.message, link: call.link)
        var report = report
        (report.message, report.link) = (notes.message, notes.link)
        self.report(call.label, report, unit: call.unit, droppedNotes: notes.refusals.count)
    }

    /// Makes a report as ``ReporterState`` does.
    private mutating func report(
        _ label: String?, _ report: DetailedReport, unit: String? = nil, droppedNotes: Int = 0
    ) {
        let label = label.map { Name($0) }
        guard ReportRefusal.of(label: label) == nil,
            ReportRefusal.of(total: report.total, done: report.done) == nil, !buffer.hasEnded,
            let indicator = buffer.indicator(of: label)
        else { return buffer.countRefusedCall() }
        let now = now
        var dropped = droppedNotes
        if let unit {
            if let unit = ReportNotes.unit(unit) { buffer.setUnit(unit, of: indicator) } else { dropped += 1 }
        }
        buffer.countDroppedNotes(UInt64(dropped))
        if report.kind == .increments, report.message == nil, report.link == nil {
            _ = buffer.accept(indicator, total: report.total, done: report.done) { now }
        } else {
            _ = buffer.accept(indicator, report) { now }
        }
    }

    private mutating func send(_ events: [EventDraft], awaitsVerdicts: Bool) {
        requests.append(
            (began.duration(to: now) / .seconds(1), answeredAt.duration(to: now) / .seconds(1), events))
        let reply = replies.popFirst() ?? ContractTable.Reply(reply: "accept")
        flight = Flight(events: events, awaitsVerdicts: awaitsVerdicts, reply: reply)
        answeredAt = now + (reply.reply == "none" ? LedgerJob.reportDeadline : .seconds(reply.after ?? 0))
    }

    /// Settles the request in flight.
    private mutating func receive() throws {
        let sent = try #require(flight)
        flight = nil
        defer { if let end = buffer.takeJobEnd() { jobEnds.append(end.rawValue) } }
        guard let error = try error(of: sent) else {
            let verdict = sent.reply.verdict ?? (isSuperseded ? "superseded" : "counted")
            let verdicts = sent.events.map { _ in "\"\(verdict)\"" }.joined(separator: ",")
            let json =
                "{\"first_sequence\":2,\"last_sequence\":\(sent.events.count + 1)"
                + (sent.reply.job_state.map { ",\"job_state\":\"\($0)\"" } ?? "")
                + (sent.awaitsVerdicts ? ",\"verdicts\":[\(verdicts)]}" : "}")
            buffer.delivered(try Appended(try JSONReader.read(Array(json.utf8))), now: now)
            return
        }
        buffer.failed(error, now: now, chance: chance)
    }

    /// Returns the error of the reply to a request; nil if the server accepts it.
    private func error(of sent: Flight) throws -> LedgerClientError? {
        let address = try ServerAddress("http://127.0.0.1:8080")
        let job = try #require(JobID("01890000-0000-7000-8000-000000000000"))
        let request = LedgerRequest.append(sent.events, to: job, awaitsVerdicts: sent.awaitsVerdicts)
        switch sent.reply.reply {
        case "accept": return nil
        case "away": return LedgerClientError(.notConnected("refused"), of: request, at: address)
        case "lost": return LedgerClientError(.lost("reset"), of: request, at: address)
        case "none": return LedgerClientError(.deadlineExceeded(mayHaveBeenSent: true), of: request, at: address)
        default: break
        }
        let isProblem = sent.reply.problem == true
        var headers = HTTPHeaders([("content-type", isProblem ? "application/problem+json" : "text/html")])
        if let seconds = sent.reply.retry_after { headers.add(name: "retry-after", value: "\(seconds)") }
        let status = try #require(sent.reply.status)
        let pointers = (sent.reply.refused ?? []).map { "/\($0)/done" } + (sent.reply.pointers ?? [])
        let errors = pointers.map { "{\"pointer\":\"\($0)\",\"detail\":\"is refused\"}" }
        let body =
            isProblem
            ? "{\"title\":\"no\",\"status\":\(status),\"detail\":\"\",\"errors\":[\(errors.joined(separator: ","))]"
                + (sent.reply.job_state.map { ",\"job_state\":\"\($0)\"" } ?? "") + "}"
            : ""
        return LedgerClientError(
            ReceivedResponse(status: status, headers: headers, body: ByteBuffer(string: body), isStreamed: false),
            to: request, at: address)
    }
}
