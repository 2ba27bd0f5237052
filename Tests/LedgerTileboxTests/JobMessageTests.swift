import Ledger
import SwiftProtobuf
import Testing

@testable import LedgerTilebox

@Suite("Jobs in Tilebox's terms")
struct JobMessageTests {
    private static let second: Int64 = 1_000_000

    private func view(_ state: JobState = .running, _ adjust: (inout Snapshot) -> Void = { _ in }) -> JobView {
        var snapshot = Snapshot(
            sequence: 1, state: state, createdAt: Timestamp(microseconds: 5), startedAt: nil, updatedAt: nil,
            finishedAt: nil, tasks: TaskCounts(), indicators: [])
        adjust(&snapshot)
        return JobView(
            id: JobID(high: 0x0102_0304_0506_7708, low: 0x8900_0000_0000_00FF),
            description: JobDescription(name: "é job"), createdAt: Timestamp(microseconds: 1_500_001),
            ledgerSequence: 1, snapshot: snapshot)
    }

    private func message(_ view: JobView, now: Int64 = 0) throws -> Workflows_V1_Job {
        try Workflows_V1_Job(
            serializedBytes: TileboxMessage.response(view, now: Timestamp(microseconds: now)))
    }

    @Test("the id is the sixteen bytes of the UUID, and is read back")
    func identity() throws {
        let job = try message(view())
        #expect(Array(job.id.uuid) == [1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 0, 0, 0, 0, 0, 0, 0xFF])
        #expect(job.name == "é job")
        #expect(job.submittedAt == .init(seconds: 1, nanos: 500_001_000))
        var request = Workflows_V1_GetJobRequest()
        request.jobID.uuid = job.id.uuid
        #expect(try TileboxMessage.jobID(ofGetJob: request.serializedBytes()) == view().id)
        for count in [0, 1, 15, 17] {
            request.jobID.uuid = job.id.uuid.prefix(0) + Array(repeating: 1, count: count)
            let error = #expect(throws: CallError.self) {
                try TileboxMessage.jobID(ofGetJob: request.serializedBytes())
            }
            #expect(error?.code == .invalidArgument)
        }
        for bytes in [[0xFF], [10, 200], Array("{}".utf8)] as [[UInt8]] {
            #expect(throws: CallError.self) { try TileboxMessage.jobID(ofGetJob: bytes) }
        }
    }

    @Test("indicators keep their order, and sums beyond 2^64 − 1 saturate")
    func indicators() throws {
        let job = try message(
            view {
                $0.indicators = [
                    Snapshot.Indicator(
                        label: "tiles", counted: Units(total: Int128(UInt64.max), done: 3), attempted: .zero,
                        updatedAt: .earliest),
                    Snapshot.Indicator(
                        label: nil, counted: Units(total: Int128(UInt64.max) + 1, done: Int128(1) << 115),
                        attempted: .zero, updatedAt: .earliest),
                ]
            })
        #expect(job.progress.map(\.label) == ["tiles", ""])
        #expect(job.progress.map(\.total) == [.max, .max])
        #expect(job.progress.map(\.done) == [3, .max])
    }

    @Test("running jobs are divided by their tasks, and ended ones have their outcome")
    func states() throws {
        #expect(try message(view()).state == .submitted)
        #expect(try message(view { $0.startedAt = .earliest }).state == .started)
        #expect(
            try message(
                view {
                    $0.startedAt = .earliest
                    $0.tasks.running = 1
                }
            ).state == .running)
        #expect(try message(view(.completed)).state == .completed)
        #expect(try message(view(.failed) { $0.tasks.running = 1 }).state == .failed)
        #expect(try message(view(.canceled)).state == .canceled)
    }

    @Test("times and tasks are in the statistics; a running job's duration extends to now")
    func statistics() throws {
        let running = try message(
            view {
                $0.startedAt = Timestamp(microseconds: 2 * Self.second)
                $0.tasks.running = 1
                $0.tasks.succeeded = 2
            }, now: 3_500_000
        ).executionStats
        #expect(running.firstTaskStartedAt == .init(seconds: 2))
        #expect(!running.hasLastTaskStoppedAt)
        #expect(running.elapsedTime == .init(seconds: 1, nanos: 500_000_000))
        #expect(running.totalTasks == 3)
        #expect(running.tasksByState.map(\.state) == [.running, .computed])
        #expect(running.tasksByState.map(\.count) == [1, 2])
        let ended = try message(
            view(.failed) {
                $0.startedAt = Timestamp(microseconds: 2 * Self.second)
                $0.finishedAt = Timestamp(microseconds: 2 * Self.second)
                $0.tasks.failed = 1
                $0.tasks.canceled = 2
                $0.tasks.abandoned = 3
            }, now: 9 * Self.second
        ).executionStats
        #expect(ended.hasLastTaskStoppedAt && ended.elapsedTime == .init())
        #expect(ended.tasksByState.map(\.state) == [.failed, .skipped])
        #expect(ended.tasksByState.map(\.count) == [1, 5])
        // The server's clock may be behind the database's.
        #expect(try message(view { $0.startedAt = .latest }).executionStats.elapsedTime == .init())
        #expect(Google_Protobuf_Timestamp(Timestamp(microseconds: -1)) == .init(seconds: -1, nanos: 999_999_000))
    }
}
