import Ledger
import LedgerWire
import ProgressLedgerClient

/// Follows a running replay and prints its result.
struct ReplayFollower {
    let client: LedgerClient
    let json: Bool

    /// The time between two requests for the state of the replay.
    private static let interval: Duration = .milliseconds(250)

    static func parse(_ text: String) throws(CommandFailure) -> JobID {
        guard let id = JobID(text) else {
            throw CommandFailure(
                .usage, "'\(text)' is not the id of a replay. List them with 'progress-ledger replay list'.")
        }
        return id
    }

    func follow(_ id: JobID) async throws {
        let (replay, document) = try await waitForEnd(of: id)
        if json {
            Console.standard.print(document)
        } else {
            for line in Self.lines(replay) { Console.standard.print(line) }
        }
        try Self.checkResult(replay)
    }

    func followRevert(of id: JobID) async throws {
        let (replay, document) = try await waitForEnd(of: id)
        guard replay.state == .reverted else {
            throw CommandFailure(.failed, "The replay could not be reverted: \(replay.error ?? replay.state.rawValue).")
        }
        Console.standard.print(json ? document : "\(replay.id)  reverted: the earlier projections are live again")
    }

    private func waitForEnd(of id: JobID) async throws -> (Replay, String) {
        let renderer = ProgressBarRenderer(unit: "events")
        while true {
            let (replay, document) = try await client.sendForJSON(.replay(id), as: Replay.self)
            renderer.show(
                done: replay.events.done, total: replay.events.total,
                "\(replay.jobs.done)/\(replay.jobs.total) jobs, \(replay.differenceCount) differences")
            guard replay.state.isInProgress else {
                renderer.clear()
                return (replay, document)
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// The result as lines of text.
    static func lines(_ replay: Replay) -> [String] {
        var lines = ["\(replay.id)  \(replay.state.rawValue)"]
        lines.append(
            "replayed \(Count(replay.jobs.done - replay.skippedJobs, "job")) with "
                + "\(Count(replay.events.done, "event")), policy \(replay.request.policy.rawValue)")
        if replay.retiredJobs > 0, replay.request.job == nil {
            lines.append("retired  \(Count(replay.retiredJobs, "job")), whose events are in exports")
        }
        if replay.skippedJobs > 0 {
            lines.append("skipped  \(Count(replay.skippedJobs, "job")) with missing or invalid events")
            for skip in replay.skips { lines.append("         \(skip.job): \(VisibleText.escape(skip.reason))") }
        }
        lines.append("differs  \(replay.differenceCount == 0 ? "nothing" : "\(Count(replay.differenceCount, "part"))")")
        if !replay.differences.isEmpty {
            var table = Table([("JOB", .whole), ("PART", .left), ("WHICH", .left), ("", .left), ("IS", .left)])
            for difference in replay.differences {
                let key =
                    difference.part == .indicator && difference.key.text.isEmpty
                    ? SnapshotText.unlabeled : difference.key.text
                table.add([
                    difference.job.description, difference.part.rawValue, key, "live", difference.live ?? "nothing",
                ])
                table.add(["", "", "", "events", difference.replayed ?? "nothing"])
            }
            lines += table.lines
        }
        if replay.differenceCount > Int64(replay.differences.count) {
            lines.append("… and \(replay.differenceCount - Int64(replay.differences.count)) more")
        }
        if replay.keeps, replay.state == .applied {
            lines.append("the earlier projections are kept; restore: 'progress-ledger replay revert \(replay.id)',")
            lines.append("delete: 'progress-ledger replay drop \(replay.id)'")
        }
        return lines
    }

    private static func checkResult(_ replay: Replay) throws(CommandFailure) {
        switch replay.state {
        case .failed: throw CommandFailure(.failed, "The replay failed: \(replay.error ?? "unknown reason").")
        case .canceled: throw CommandFailure(.failed, "The replay was canceled.")
        case .done where replay.request.policy == .last && replay.differenceCount > 0:
            throw CommandFailure(.differs, "The live projections differ from the events. Repair them with --apply.")
        case .applied where replay.differenceCount > 0:
            throw CommandFailure(.differs, "The live projections differed from the events and were replaced.")
        case .done where replay.skippedJobs > 0, .applied where replay.skippedJobs > 0:
            throw CommandFailure(.failed, "\(Count(replay.skippedJobs, "job")) could not be replayed.")
        default: return
        }
    }
}
