internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes for operators and monitoring.
struct OperationsRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings
    private let metrics: HTTPMetrics

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
        metrics = dependencies.metrics
    }

    var routes: [Route] {
        [
            Route(
                access: .open, method: .get, path: "/healthz", operation: "health",
                summary: "Whether the server is alive",
                responses: [Route.ResponseSpec(status: 200, description: "It is alive", schema: "Health")],
                handle: { _ in .json { $0.object { $0.field("status", "ok") } } }),
            Route(
                access: .open, method: .get, path: "/readyz", operation: "readiness",
                summary: "Whether the server is ready: database, schema, projection",
                responses: [
                    Route.ResponseSpec(status: 200, description: "It is ready", schema: "Readiness"),
                    Route.ResponseSpec(
                        status: 503, description: "It is not ready, with the reasons", schema: "Readiness"),
                ], handle: ready),
            Route(
                access: .ledger(.read), method: .get, path: "/v1/status", operation: "getStatus",
                summary: "The status of the ledger: its lag, its workers and its obstacles",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The status", schema: "Status"),
                    .problem(503, "The database cannot be reached"),
                ], handle: status),
            Route(
                access: .ledger(.read), method: .get, path: "/metrics", operation: "metrics",
                summary: "Metrics in the text format of Prometheus, or in OpenMetrics on request",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The metrics", schema: "Text", mediaType: "text/plain")
                ], isHeavy: true, handle: exportMetrics),
            Route(
                access: .general(.read), method: .get, path: "/v1/limits", operation: "limits",
                summary: "All limits of the server",
                responses: [Route.ResponseSpec(status: 200, description: "The limits", schema: "Limits")],
                handle: limits
            ),
        ]
    }

    private func ready(_: RouteRequest) async throws -> LedgerResponse {
        let readiness = await service.readiness()
        return .json(readiness.isReady ? .ok : .serviceUnavailable) { writer in
            writer.object { writer in
                writer.field("status", readiness.isReady ? "ready" : "not ready")
                writer.name("checks")
                writer.array(readiness.checks) { writer, check in
                    writer.object { writer in
                        writer.field("name", check.name)
                        writer.field("passed", check.isPassed)
                        writer.field("warning", check.isWarning)
                        writer.field("detail", check.detail)
                    }
                }
            }
        }
    }

    private func exportMetrics(_ request: RouteRequest) async throws -> LedgerResponse {
        var text = MetricsText(MetricsText.Format(accepting: request.request.headers))
        var last = ""
        for statistic in await service.statistics() {
            if statistic.name != last {
                text.begin(statistic.name, statistic.help, statistic.kind.rawValue)
                last = statistic.name
            }
            text.add(statistic.name, statistic.labels, statistic.value)
        }
        metrics.write(to: &text)
        return text.response
    }

    private func status(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        var status = try await service.status()
        status.version = ProductVersion.current.number
        status.build = ProductVersion.current.build
        return .json { writer in
            status.write(to: &writer) { writer in
                writer.name("refusals")
                writer.object { writer in
                    for (reason, count) in metrics.refusals.counts { writer.field(reason.rawValue, count) }
                }
            }
        }
    }

    private func limits(_: RouteRequest) async throws -> LedgerResponse {
        .json { writer in
            writer.object { writer in
                writer.field("job_name_characters", Limits.jobNameLengths.upperBound)
                writer.field("job_key_characters", Limits.jobKeyLengths.upperBound)
                writer.field("tags", Limits.tagsMax)
                writer.field("tag_name_characters", Limits.tagNameLengths.upperBound)
                writer.field("tag_value_characters", Limits.tagValueLengths.upperBound)
                writer.field("task_characters", Limits.taskLengths.upperBound)
                writer.field("execution_characters", Limits.executionLengths.upperBound)
                writer.field("label_characters", Limits.labelLengths.upperBound)
                writer.field("message_characters", Limits.messageLengths.upperBound)
                writer.field("link_characters", Limits.linkLengths.upperBound)
                writer.field("unit_characters", Limits.unitLengths.upperBound)
                writer.field("part_characters", Limits.partLengths.upperBound)
                writer.field("attempt", Limits.attempts.upperBound)
                writer.field("report", Limits.reports.upperBound)
                writer.field("increment", Limits.increments.upperBound)
                writer.field("labels_per_execution", Limits.labelsPerExecutionMax)
                writer.field("events_per_append", Limits.eventsPerAppendMax)
                writer.field("body_bytes", settings.bodyBytesMax)
                writer.field("page_size", 1_000)
                writer.field("problems_per_answer", RequestError.errorsMax)
                writer.field("prefer_wait_seconds", settings.preferWaitMax)
                writer.field("long_requests", settings.longRequestsMax)
                writer.field("long_requests_per_token", settings.longRequestsPerTokenMax)
                writer.field("watchers", settings.watchersMax)
                writer.field("watched_lists", settings.watchedListsMax)
            }
        }
    }
}
