import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient
import UnixSignals

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Follow a job until it ends: live bars, or lines where the output is no terminal.",
        discussion: """
            On a terminal, bars are painted over, five times a second at most, and a number that falls says why. \
            Elsewhere a line tells what has changed, every ten seconds at most, and every minute. A lost connection is shown and made again. Ends with 0 when the job has completed, 10 when it has \
            failed, 11 when it was canceled. NO_COLOR leaves colours out.
            """)

    @OptionGroup var job: JobOptions

    @Option(
        help: ArgumentHelp(
            "End with 0 as soon as this indicator is so far, such as 'download>=90'; '>=90' is the job's own figure. All, where given several times.",
            valueName: "goal"))
    var until: [WatchGoal] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "End with 12 when no unit has been done for so long: 300, 5m, 1h.", valueName: "duration"))
    var stalledTimeout: DurationOption?

    @Flag(help: "Print each snapshot as a line of JSON, as the server gives it.")
    var json = false

    @Flag(help: "Print lines, as when the output is not a terminal.")
    var plain = false

    @Flag(help: "Use ASCII only, as where the locale is not UTF-8.")
    var ascii = false

    @Flag(help: "Show progress in the terminal's tab or taskbar, also where it is not known to have that.")
    var taskbar = false

    @OptionGroup var server: ServerOptions

    /// The least time between two frames: what changes faster cannot be read.
    private static let frameInterval = Duration.milliseconds(200)

    /// Why watching has ended.
    private enum Ended: Sendable {
        case status(ExitStatus)
        case signal(UnixSignal)
    }

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        let console = Console.standard
        let session = WatchSession(
            end: WatchEnd(goals: until, stalledTimeout: stalledTimeout?.duration), isJSON: json,
            width: console.style?.width ?? WatchLines.widthUsual)
        let paints = console.canPaint && !json && !plain
        let environment = ProcessInfo.processInfo.environment
        let screen =
            paints
            ? Screen(console: console, showsTaskbar: taskbar || Screen.hasTaskbar(environment: environment)) : nil
        let follower = WatchClient(client: client, job: id, patience: server.patience.map { .seconds($0) })
        let ended: Ended
        do {
            ended = try await watch(follower, session, screen, environment)
        } catch {
            screen?.leave()
            throw error
        }
        if let screen {
            await render(session, on: screen, environment)
            screen.leave()
        }
        switch ended {
        case .status(.done): return
        case .status(let status): throw ExitCode(status.rawValue)
        case .signal(let signal): throw ExitCode(128 + signal.rawValue)
        }
    }

    private func watch(
        _ follower: WatchClient, _ session: WatchSession, _ screen: Screen?, _ environment: [String: String]
    ) async throws -> Ended {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: Ended.self) { group in
            let paints = screen != nil
            group.addTask { .status(try await Self.follow(follower, session, prints: !paints)) }
            group.addTask {
                for await signal in signals { return .signal(signal) }
                throw CancellationError()
            }
            group.addTask { try await Self.askForSilence(follower, session) }
            if !paints {
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
            defer { group.cancelAll() }
            guard let screen else { return try await group.next() ?? .status(.failed) }
            group.addTask {
                try await Task.sleep(for: Self.frameInterval)
                throw FrameDue()
            }
            while true {
                do {
                    if let ended = try await group.next() { return ended }
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

    /// It is time for the next frame.
    private struct FrameDue: Error {}

    private func render(_ session: WatchSession, on screen: Screen, _ environment: [String: String]) async {
        var style = Screen.style(environment: environment)
        if ascii { style.hasUnicode = false }
        guard let (lines, taskbar) = await session.frame(style) else { return }
        screen.render(lines, width: style.width, taskbar: taskbar)
    }

    /// Asks now and then which executions have not reported for long. Never ends by itself.
    private static func askForSilence(_ follower: WatchClient, _ session: WatchSession) async throws -> Ended {
        while true {
            let mayBeSilent = await session.mayBeSilent
            if mayBeSilent, let silent = await follower.silentExecutions() { await session.take(silent: silent) }
            try await Task.sleep(for: mayBeSilent ? silenceInterval : .seconds(1))
        }
    }

    /// A tenth of the silence that is worth a remark.
    private static let silenceInterval = SilentExecution.silenceMax / 10

    private static func show(_ prints: [WatchSession.Print]) {
        for print in prints {
            switch print {
            case .line(let text): Console.standard.print(text)
            case .note(let text): Console.standard.note(text)
            }
        }
    }

    /// Follows the job to its end, or to what is waited for.
    private static func follow(
        _ follower: WatchClient, _ session: WatchSession, prints: Bool
    ) async throws -> ExitStatus {
        var status: ExitStatus?
        func show(_ lines: [WatchSession.Print]) {
            if prints { Self.show(lines) }
        }
        try await follower.follow { news in
            switch news {
            case .snapshot(let job, let json, let clock):
                let taken = await session.take(job, json: json, clock: clock)
                show(taken.prints)
                status = taken.status
                if status == nil, let fall = taken.falls.first, let why = await follower.difference(fall.sequences) {
                    await session.explain(why)
                }
            case .lost(let error, let retryIn): show(await session.lose(error, retryIn: retryIn))
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
