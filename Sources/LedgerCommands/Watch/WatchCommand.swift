import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient
import UnixSignals

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Follow a job until it ends: live bars on a terminal, lines otherwise.",
        discussion: """
            On a terminal, bars are redrawn up to five times a second, and a decrease is shown with its cause. \
            Elsewhere, a line with the changes is printed at most every ten seconds and at least every minute. A lost \
            connection is reported and retried. Exits with 0 if the job completed, 10 if it failed, 11 if it was \
            canceled. NO_COLOR disables colors.
            """)

    @OptionGroup var job: JobOptions

    @Option(
        help: ArgumentHelp(
            "Exit with 0 once the indicator reaches the percentage, such as 'download>=90' ('>=90' for the job). If repeated: once all goals are reached.",
            valueName: "goal"))
    var until: [WatchGoal] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Exit with 12 if no unit was done for this time: 300, 5m, 1h.", valueName: "duration"))
    var stalledTimeout: DurationOption?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Exit with 0 once all tasks have ended and no event has come for this time: 60, 5m, 1h. For jobs that never end.",
            valueName: "duration"))
    var untilIdle: DurationOption?

    @Flag(help: "Print each snapshot as one line of the server's JSON.")
    var json = false

    @Flag(help: "Print lines, as if the output were not a terminal.")
    var plain = false

    @Flag(help: "Use only ASCII, as if the locale were not UTF-8.")
    var ascii = false

    @Flag(help: "Show progress in the terminal's tab or taskbar even if support is not detected.")
    var taskbar = false

    @OptionGroup var server: ServerOptions

    /// The minimum time between two frames; faster changes are unreadable.
    private static let frameInterval = Duration.milliseconds(200)

    /// The reason why watching ended.
    private enum EndReason: Sendable {
        case status(ExitStatus)
        case signal(UnixSignal)
    }

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        let console = Console.standard
        let session = WatchSession(
            end: WatchEnd(
                goals: until, stalledTimeout: stalledTimeout?.duration, idleTimeout: untilIdle?.duration),
            isJSON: json,
            width: console.style?.width ?? WatchLines.defaultWidth)
        let redraws = console.canRedraw && !json && !plain
        let environment = ProcessInfo.processInfo.environment
        let screen =
            redraws
            ? Screen(console: console, showsTaskbar: taskbar || Screen.hasTaskbar(environment: environment)) : nil
        let follower = WatchClient(client: client, job: id, patience: server.patience.map { .seconds($0) })
        let reason: EndReason
        do {
            reason = try await watch(follower, session, screen, environment)
        } catch {
            screen?.leave()
            throw error
        }
        if let screen {
            await render(session, on: screen, environment)
            screen.leave()
        }
        switch reason {
        case .status(.done): return
        case .status(let status): throw ExitCode(status.rawValue)
        case .signal(let signal): throw ExitCode(128 + signal.rawValue)
        }
    }

    private func watch(
        _ follower: WatchClient, _ session: WatchSession, _ screen: Screen?, _ environment: [String: String]
    ) async throws -> EndReason {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: EndReason.self) { group in
            let redraws = screen != nil
            group.addTask { .status(try await Self.follow(follower, session, prints: !redraws)) }
            group.addTask {
                for await signal in signals { return .signal(signal) }
                throw CancellationError()
            }
            group.addTask { try await Self.pollSilentExecutions(follower, session) }
            if !redraws {
                group.addTask {
                    while true {
                        try await Task.sleep(for: .seconds(1))
                        Self.show(await session.dueLine())
                    }
                }
            }
            if stalledTimeout != nil {
                group.addTask {
                    while await !session.isStalled() { try await Task.sleep(for: .seconds(1)) }
                    return .status(.jobStalled)
                }
            }
            if untilIdle != nil {
                group.addTask {
                    while await !session.isIdle() { try await Task.sleep(for: .seconds(1)) }
                    return .status(.done)
                }
            }
            defer { group.cancelAll() }
            guard let screen else { return try await group.next() ?? .status(.failed) }
            group.addTask {
                try await Task.sleep(for: Self.frameInterval)
                throw FrameDue()
            }
            while true {
                do {
                    if let reason = try await group.next() { return reason }
                } catch is FrameDue {
                    await render(session, on: screen, environment)
                    group.addTask {
                        try await Task.sleep(for: Self.frameInterval)
                        throw FrameDue()
                    }
                }
            }
        }
    }

    /// The signal that the next frame is due.
    private struct FrameDue: Error {}

    private func render(_ session: WatchSession, on screen: Screen, _ environment: [String: String]) async {
        var style = Screen.style(environment: environment)
        if ascii { style.hasUnicode = false }
        guard let (lines, taskbar) = await session.frame(style) else { return }
        screen.render(lines, width: style.width, taskbar: taskbar)
    }

    /// Requests the silent executions at intervals; never returns.
    private static func pollSilentExecutions(_ follower: WatchClient, _ session: WatchSession) async throws -> EndReason
    {
        while true {
            let isNeeded = await session.hasSilentExecutions
            if isNeeded, let silent = await follower.silentExecutions() { await session.receive(silent: silent) }
            try await Task.sleep(for: isNeeded ? silenceInterval : .seconds(1))
        }
    }

    /// The interval at which the names of the silent executions are requested.
    private static let silenceInterval = Duration.seconds(15)

    private static func show(_ prints: [WatchSession.Print]) {
        for print in prints {
            switch print {
            case .line(let text): Console.standard.print(text)
            case .note(let text): Console.standard.printToError(text)
            }
        }
    }

    /// Follows the job until it ends or the goals are reached.
    private static func follow(
        _ follower: WatchClient, _ session: WatchSession, prints: Bool
    ) async throws -> ExitStatus {
        var status: ExitStatus?
        func show(_ lines: [WatchSession.Print]) {
            if prints { Self.show(lines) }
        }
        try await follower.follow { update in
            switch update {
            case .snapshot(let job, let json, let clock):
                let result = await session.receive(job, json: json, clock: clock)
                show(result.prints)
                status = result.status
                if status == nil, let decrease = result.decreases.first,
                    let difference = await follower.difference(decrease.sequences)
                {
                    await session.explain(difference)
                }
            case .lost(let error, let retryIn): show(await session.connectionLost(error, retryIn: retryIn))
            case .end:
                let finished = await session.finish()
                show(finished.prints)
                status = finished.status
            }
            return status != nil
        }
        return status ?? .failed
    }
}
