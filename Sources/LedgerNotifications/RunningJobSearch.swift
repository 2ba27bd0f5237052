internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import PQ

/// Looks for late and stalled jobs among the running ones, a page at a time.
struct RunningJobSearch {
    let ledger: PostgresLedger
    let settings: NotificationSettings
    let logger: Logger

    private typealias Notification = (subscription: Subscription.ID, cause: NotificationCause)

    /// Examines the next page of running jobs.
    ///
    /// - Returns: Whether notifications were enqueued.
    func run() async throws -> Bool {
        let page = try await ledger.notificationSearch.nextPage(
            every: settings.searchInterval, limit: settings.searchedJobsMax)
        guard let page, !page.jobs.isEmpty else { return false }
        let views = try await views(of: Array(page.jobs.keys))
        let now = Timestamp.now
        let stalls = try await stalls(of: views, page, now: now)
        let notifications = stalls.notifications + (try await late(among: views, page, now: now))
        guard !notifications.isEmpty || !stalls.changes.isEmpty else { return false }
        _ = try await ledger.pool.commit(DeliveryStore.insertions(of: notifications) + stalls.changes.statements)
        return !notifications.isEmpty
    }

    /// Reads the jobs, without those that cannot be read.
    ///
    /// If reading them together fails, they are read singly. A damaged job thus keeps no other one from being examined.
    private func views(of jobs: [JobID]) async throws(StoreError) -> [JobView] {
        do throws(StoreError) { return try await ledger.jobs(jobs) } catch {
            // Any other error would be the same for each of them.
            guard error.code == .corrupt else { throw error }
        }
        var views: [JobView] = []
        for job in jobs {
            do throws(StoreError) { views += try await ledger.jobs([job]) } catch {
                guard error.code == .corrupt else { throw error }
                logger.warning(
                    "cannot examine whether a job is late or stalled",
                    metadata: ["job": "\(job)", "error": "\(error)"])
            }
        }
        return views
    }

    private func notifications(
        _ kind: NotificationKind, _ view: JobView, _ page: NotificationSearch.Page, since moment: Timestamp,
        now: Timestamp
    ) -> [Notification] {
        let cause = NotificationCause(job: view.id, kind: kind, origin: .moment(moment), at: now)
        return (page.jobs[view.id] ?? []).filter { $0.kind(for: kind) != nil }.map { ($0.id, cause) }
    }

    // MARK: Stalled jobs

    /// Returns the notifications of stalls that began or ended since the last search.
    ///
    /// A stall ends with the next advance. A job that merely has no running execution for a while, or one that has just
    /// begun, is not stalled then, and has not advanced either.
    private func stalls(
        of views: [JobView], _ page: NotificationSearch.Page, now: Timestamp
    ) async throws -> (notifications: [Notification], changes: NotificationSearch.StallChanges) {
        var changes = NotificationSearch.StallChanges()
        let asked = views.filter { view in
            (page.jobs[view.id] ?? []).contains { $0.kind(for: .stalled) != nil || $0.kind(for: .advancing) != nil }
        }
        guard !asked.isEmpty else { return ([], changes) }
        let known = try await ledger.notificationSearch.noticedStalls(of: asked.map(\.id))
        var found: [Notification] = []
        for view in asked {
            guard view.snapshot.state == .running, let stalls = settings.stalls(view) else { continue }
            let since = stalls.since
            guard since != known[view.id] else { continue }
            if let ended = known[view.id] {
                guard let advance = since ?? stalls.lastAdvance, advance > ended else { continue }
                found += notifications(.advancing, view, page, since: ended, now: now)
            }
            if let since {
                found += notifications(.stalled, view, page, since: since, now: now)
                changes.begun.append((view.id, since))
            } else {
                changes.ended.append(view.id)
            }
        }
        return (found, changes)
    }

    // MARK: Late jobs

    private func late(
        among views: [JobView], _ page: NotificationSearch.Page, now: Timestamp
    ) async throws -> [Notification] {
        var usual: [RunSummaryStore.Group: UsualDuration?] = [:]
        var found: [Notification] = []
        for view in views {
            guard (page.jobs[view.id] ?? []).contains(where: { $0.kind(for: .late) != nil }),
                let lateness = try await lateness(of: view, &usual, now: now)
            else { continue }
            found += notifications(.late, view, page, since: lateness.since, now: now)
        }
        return found
    }

    /// Returns whether a job is late.
    ///
    /// The usual duration is read once for each group of jobs.
    private func lateness(
        of view: JobView, _ known: inout [RunSummaryStore.Group: UsualDuration?], now: Timestamp
    ) async throws(PQError) -> Lateness? {
        if let deadline = view.description.deadline {
            return Lateness(view, deadline: deadline, usual: nil, now: now)
        }
        guard let group = ledger.summaries.group(of: view.description) else { return nil }
        let usual: UsualDuration?
        if let found = known[group] {
            usual = found
        } else {
            usual = try await ledger.summaries.usualDuration(of: group)
            known[group] = .some(usual)
        }
        return Lateness(view, deadline: nil, usual: usual, now: now)
    }
}
