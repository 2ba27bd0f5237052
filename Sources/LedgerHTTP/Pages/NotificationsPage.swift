internal import Ledger
internal import LedgerWire

/// The page of subscriptions and their newest deliveries, for administrators.
struct NotificationsPage {
    let subscriptions: [Subscription]
    let deliveries: [Delivery]
    let now: Timestamp

    var page: Page {
        Page(
            root: .ofJobs, title: "Notifications – progress ledger", icon: "./pages/icon.svg",
            script: "unchanging.js",
            body: """
                <header class="top"><nav aria-label="Breadcrumb"><a href="./">Jobs</a></nav></header>
                <main data-now="\(RFC3339.text(now))"><h1>Notifications</h1><section><h2>Subscriptions</h2>
                <div class="wide" tabindex="0" role="region" aria-label="Subscriptions"><table class="stacked"><thead><tr>\
                <th scope="col">Subscription</th><th scope="col">State</th><th scope="col">Receiver</th>\
                <th scope="col">When</th><th scope="col">Jobs</th></tr></thead><tbody>\(subscriptions.map(row))\
                \(subscriptions.isEmpty ? Self.noSubscription : "")</tbody></table></div></section>
                <section><h2>Newest deliveries</h2>
                <div class="wide" tabindex="0" role="region" aria-label="Deliveries"><table class="stacked deliveries"><thead><tr>\
                <th scope="col">Created</th><th scope="col">Subscription</th><th scope="col">Kind</th>\
                <th scope="col">Job</th><th scope="col">State</th><th scope="col" class="number">Attempts</th>\
                <th scope="col">Next attempt</th><th scope="col">Error</th></tr></thead><tbody>\(deliveries.map(row))\
                \(deliveries.isEmpty ? Self.noDelivery : "")</tbody></table></div></section></main>
                """)
    }

    private static let noSubscription: HTML = """
        <tr class="empty"><td colspan="5">No subscriptions. <code>progress-ledger notify add</code> creates one.</td></tr>
        """
    private static let noDelivery: HTML = "<tr class=\"empty\"><td colspan=\"8\">No deliveries.</td></tr>"

    private func row(_ subscription: Subscription) -> HTML {
        let tags = subscription.tags.sorted { $0.key < $1.key }.map { name, value in
            HTML("<span class=\"tag\">\(HTML.name(name))=\(HTML.name(value))</span> ")
        }
        let isUnfiltered = subscription.jobName == nil && subscription.tags.isEmpty
        return """
            <tr><th scope="row">\(HTML.name(subscription.name)) <small>\(subscription.id.text)</small></th>\
            <td>\(subscription.disabled.map { "disabled: \($0.reason.rawValue)" } ?? "active")</td>\
            <td>\(subscription.receiver.host)</td><td>\(subscription.kinds.map(\.text).joined(separator: ", "))</td>\
            <td>\(subscription.jobName.map { HTML("\(HTML.name($0)) ") })\(tags)\(isUnfiltered ? "all" as HTML : "")</td></tr>
            """
    }

    private func row(_ delivery: Delivery) -> HTML {
        let name = subscriptions.first { $0.id == delivery.subscription }?.name
        let job = delivery.cause.job.map {
            HTML("<a class=\"id\" href=\"./jobs/\($0.description)\">\($0.description)</a>")
        }
        return """
            <tr data-state="\(delivery.state.rawValue)"><td>\(PageTime.second(delivery.createdAt, near: now))</td>\
            <td>\(name.map { HTML.name($0) } ?? "\(delivery.subscription.text)")</td>\
            <td>\(delivery.cause.kind.text)</td><td>\(job)</td><td>\(delivery.state.rawValue)</td>\
            <td class="number" data-name="attempts">\(delivery.attempts)</td><td\(delivery.nextAt == nil ? nil : " data-name=\"next\"" as HTML)>\(delivery.nextAt.map { PageTime.second($0, near: now) } ?? "")</td>\
            <td>\(PageText.visible(delivery.error ?? ""))</td></tr>
            """
    }
}
