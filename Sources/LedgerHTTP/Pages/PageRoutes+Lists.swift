internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The pages that show many jobs.
extension PageRoutes {
    /// Jobs on one page.
    private static let jobsOnPage = 50
    /// Jobs that are sorted by something other than their age.
    ///
    /// Their estimates take most of the time: 200 take about a tenth of a second.
    private static let jobsSorted = 200
    /// Tiles on the wall.
    private static let tiles = 100
    /// The newest failed jobs, among which are those that failed recently.
    private static let failuresRead = 100
    /// The failed jobs on the wall.
    private static let failuresShown = 12
    /// The time for which a failed job stays on the wall, in microseconds.
    private static let failuresShownFor: Int64 = 24 * 3_600_000_000

    var listRoutes: [Route] {
        [
            Route(
                access: .jobs(.read), method: .get, path: "/", operation: "jobsPage", summary: "The page of all jobs",
                parameters: JobsQuery.parameters + [Self.part],
                responses: [
                    Self.page("The page"), Route.ResponseSpec(status: 303, description: "The page of the searched job"),
                    .problem(422, "A parameter is invalid"),
                ], isHeavy: true, page: .ofJobs, handle: withErrorPages(.ofJobs, jobs)),
            Route(
                access: .jobs(.read), method: .get, path: "/wall", operation: "wallPage",
                summary: "The page for a screen on the wall: the running jobs, those with problems first",
                parameters: JobsQuery.parameters.filter { ["search", "tag"].contains($0.name) } + [Self.part],
                responses: [Self.page("The page"), .problem(422, "A parameter is invalid")], isHeavy: true,
                page: .ofJobs, handle: withErrorPages(.ofJobs, wall)),
        ]
    }

    private func jobs(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = PageParameters(try request.parameters())
        let confinement = request.access.confinement
        if let job = parameters["search"].flatMap({ JobID($0) }), let view = try await service.job(job),
            confinement.includes(job, tags: view.description.tags)
        {
            return LedgerResponse(status: .seeOther, headers: [.location: "/jobs/\(job)"])
        }
        let now = Timestamp.now
        let query = try JobsQuery(parameters, now: now)
        let filter = query.filter.confined(to: confinement)
        let link = parameters.link("./", JobsQuery.parameters.map(\.name))
        if let end = query.end {
            let start = try await cursor(ofPageBefore: end, filter, query.sort.order ?? .newest)
            let target = link.without("end").with("cursor", start?.description)
            return LedgerResponse(status: .seeOther, headers: [.location: String(target.text.dropFirst())])
        }
        let limit = query.sort.order == nil ? Self.jobsSorted : Self.jobsOnPage
        let list = try await service.jobList(filter, in: query.sort.order ?? .newest, limit: limit, after: query.cursor)
        let page = JobsPage(
            views: query.sort.sort(list.jobs, now: now), missingShards: list.missingShards,
            counts: try await service.countJobs(filter), query: query,
            limit: limit, link: link, now: now, server: Self.address(of: request, isTLS: usesTLS),
            seesNotifications: request.access.permits(.admin))
        guard parameters["part"] == nil else { return Page.html(page.list) }
        return whole(page.page, for: request)
    }

    /// The cursor of the page that ends before a job; nil for the first page.
    private func cursor(
        ofPageBefore end: JobID, _ filter: JobFilter, _ order: JobFilter.Order
    ) async throws -> JobID? {
        let before = try await service.jobs(
            filter, in: order == .newest ? .oldest : .newest, limit: Self.jobsOnPage + 1, after: end)
        return before.count > Self.jobsOnPage ? before.last?.id : nil
    }

    private func wall(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = PageParameters(try request.parameters())
        let now = Timestamp.now
        var query = try JobsQuery(parameters, now: now)
        query.filter.states = [.running]
        let filter = query.filter.confined(to: request.access.confinement)
        let running = try await service.jobs(filter, limit: Self.tiles, after: nil)
        var ended = filter
        ended.states = [.failed]
        let failed = try await service.jobs(ended, limit: Self.failuresRead, after: nil).filter { view in
            view.snapshot.finishedAt.map { now.microseconds - $0.microseconds < Self.failuresShownFor } ?? false
        }
        let page = WallPage(
            running: JobsQuery.Sort.urgency.sort(running, now: now),
            failed: Array(
                failed.sorted { ($0.snapshot.finishedAt ?? now) > ($1.snapshot.finishedAt ?? now) }.prefix(
                    Self.failuresShown)),
            query: query, limit: Self.tiles, now: now)
        guard parameters["part"] == nil else { return Page.html(page.list) }
        return whole(page.page, for: request)
    }

    private func whole(_ page: Page, for request: RouteRequest) -> LedgerResponse {
        var page = page
        page.hasLogin = request.hasLogin
        page.version = .current
        return page.response()
    }

    /// The URL by which the viewer has addressed the server.
    private static func address(of request: RouteRequest, isTLS: Bool) -> String {
        "\(isTLS ? "https" : "http")://\(request.request.head.authority ?? "localhost")"
    }
}
