/// The examples of request bodies in the description.
///
/// A test sends each one to a server.
enum RouteExamples {
    /// The example of the body of an operation, in JSON; nil for none.
    static func body(of operation: String) -> String? { bodies[operation] }

    private static let bodies: [String: String] = [
        "createJob": #"{"name":"nightly tiles","key":"tiles-2026-11-30","tags":{"region":"eu"}}"#,
        "appendEvents": """
        [{"type":"progress","task":"tile-17","attempt":1,"report":1,"label":"tiles","total":50},\
        {"type":"progress","task":"tile-17","attempt":1,"report":2,"label":"tiles","done":1}]
        """,
        "appendEventsOfManyJobs": """
        [{"job":"01930a10-0000-7000-8000-000000000000","type":"progress","task":"tile-17","attempt":1,"report":3,\
        "label":"tiles","done":1}]
        """,
        "startExecution": #"{"task":"tile-17","attempt":2,"link":"https://engine.example/runs/17"}"#,
        "beginReplay": #"{"policy":"last","apply":false}"#,
        "createToken": #"{"name":"nightly-tiles","scopes":["read","report"],"tags":{"region":"eu"}}"#,
        "createSubscription": """
        {"name":"on-call","url":"https://hooks.example/ledger","when":["failed","stalled"],\
        "filter":{"tags":{"region":"eu"}}}
        """,
        "logIn": #"{"token":"pl_…"}"#,
    ]
}
