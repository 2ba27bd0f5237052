internal import AsyncPrimitives
internal import Ledger
public import LedgerStore
public import Logging
internal import PQ
public import ServiceLifecycle
internal import Synchronization

/// A service that delivers notifications, and looks for late and stalled jobs.
///
/// Any number of senders in any number of processes share the work. Each leases the deliveries that it sends. If it
/// dies, another one sends them after the lease, with the same ids.
public struct NotificationSender: Service {
    private let ledger: PostgresLedger
    private let settings: NotificationSettings
    private let logger: Logger

    /// The number of tries to record a result, and the pause in between.
    ///
    /// If it cannot be recorded, the delivery is sent again.
    private static let recording = (attempts: 5, pause: Duration.seconds(1))

    /// Creates a sender for this ledger, which must be running itself.
    public init(
        ledger: PostgresLedger, settings: NotificationSettings = NotificationSettings(), logger: Logger
    ) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
    }

    /// The deliveries in progress, by subscription.
    private final class InProgress: Sendable {
        private let counts = Mutex<[Subscription.ID: Int]>([:])

        func change(_ subscription: Subscription.ID, by difference: Int) {
            counts.withLock { counts in
                let count = (counts[subscription] ?? 0) + difference
                counts[subscription] = count > 0 ? count : nil
            }
        }

        var bySubscription: [Subscription.ID: Int] { counts.withLock { $0 } }
    }

    /// Runs until the task is cancelled or the service group shuts down.
    ///
    /// Attempts in progress are finished at a shutdown, within their time limits.
    public func run() async throws {
        let resolver = AddressResolver()
        let client = WebhookClient(
            targets: settings.targets, resolver: resolver, authorities: settings.authorities)
        let isClosed = Atomic(false)
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { periodic in
                periodic.addTask(name: "notification-search") { await search() }
                periodic.addTask(name: "notification-cleaning") { await clean() }
                await withDiscardingTaskGroup { attempts in
                    let inProgress = InProgress()
                    while !isClosed.load(ordering: .acquiring) {
                        await startAttempts(client, inProgress, in: &attempts)
                        await ledger.notificationSignal.wait(until: .now + settings.pollInterval)
                    }
                }
                periodic.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            isClosed.store(true, ordering: .releasing)
            ledger.notificationSignal.signal()
        }
        resolver.close()
    }

    /// Claims due deliveries as far as there is room, and sends them.
    private func startAttempts(
        _ client: WebhookClient, _ inProgress: InProgress, in group: inout DiscardingTaskGroup
    ) async {
        let started = inProgress.bySubscription
        let room = settings.concurrency - started.values.reduce(0, +)
        guard room > 0 else { return }
        let claimed: [DeliveryStore.Claimed]
        do throws(PQError) {
            claimed = try await ledger.deliveryStore.claim(
                limit: room, perSubscription: settings.concurrencyPerSubscription, inProgress: started,
                lease: settings.lease)
        } catch {
            if !Task.isCancelled {
                logger.warning("cannot look for notifications to send", metadata: ["error": "\(error)"])
            }
            return
        }
        for one in claimed {
            inProgress.change(one.subscription.id, by: 1)
            group.addTask(name: "notification-attempt") {
                await attempt(one, client)
                inProgress.change(one.subscription.id, by: -1)
                // There is room for another one.
                ledger.notificationSignal.signal()
            }
        }
    }

    private func attempt(_ claimed: DeliveryStore.Claimed, _ client: WebhookClient) async {
        let outcome: DeliverySchedule.Outcome
        do throws(StoreError) {
            let body = try await body(of: claimed)
            let headers = WebhookSignature.headers(id: claimed.delivery.id, at: .now, body: body, claimed.secret)
            outcome = await client.post(body, to: claimed.subscription.receiver, headers: headers)
        } catch {
            outcome = .noResponse("the job cannot be read: \(error)")
        }
        // The lease ends, and another process sends it.
        guard !Task.isCancelled else { return }
        let result = DeliverySchedule.result(
            of: outcome, claimed.delivery, now: .now, random: .random(in: 0...1))
        ledger.deliveryStatistics.count(result, of: claimed.delivery.cause.kind)
        if result.state == .failed, claimed.delivery.cause.kind != .test {
            logger.warning(
                "gave up a notification",
                metadata: [
                    "subscription": "\(claimed.subscription.id)", "delivery": "\(claimed.delivery.id)",
                    "error": "\(result.error ?? "")",
                ])
        }
        for _ in 1...Self.recording.attempts {
            do throws(PQError) {
                return try await ledger.deliveryStore.record(result, of: claimed)
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "cannot record the result of a notification; it may be sent again",
                    metadata: ["delivery": "\(claimed.delivery.id)", "error": "\(error)"])
            }
            do { try await Task.sleep(for: Self.recording.pause) } catch { return }
        }
    }

    private func body(of claimed: DeliveryStore.Claimed) async throws(StoreError) -> [UInt8] {
        var job: JobView?
        if let id = claimed.delivery.cause.job {
            job = try await ledger.jobToNotify(id)
            guard job != nil else { throw StoreError(.unknownJob, "there is no job \(id)", jobs: [id]) }
        }
        return NotificationPayload(
            subscription: claimed.subscription, cause: claimed.delivery.cause, job: job, now: .now
        ).bytes
    }

    private func search() async {
        let search = RunningJobSearch(ledger: ledger, settings: settings, logger: logger)
        await repeating(every: settings.searchInterval, "cannot look for late and stalled jobs") {
            if try await search.run() { ledger.notificationSignal.signal() }
        }
    }

    private func clean() async {
        await repeating(every: settings.cleaningInterval, "cannot delete old notifications") {
            for id in try await ledger.deliveryStore.clean() {
                logger.error(
                    "disabled a subscription because too many of its notifications wait",
                    metadata: ["subscription": "\(id)"])
            }
        }
    }

    /// Runs the body at intervals until cancellation or shutdown.
    private func repeating(
        every interval: Duration, _ failure: Logger.Message, _ body: @escaping @Sendable () async throws -> Void
    ) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await body() } catch {
                    if !Task.isCancelled { logger.warning(failure, metadata: ["error": "\(error)"]) }
                }
                do { try await Task.sleep(for: interval) } catch { return }
            }
        }
    }
}
