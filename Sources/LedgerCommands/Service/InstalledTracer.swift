import Tracing

/// The backend for spans that the process has installed.
enum InstalledTracer {
    /// Returns the backend; nil for none.
    ///
    /// The services ask once at their start, so that spans cost nothing without a backend.
    static func find() -> (any Tracer)? {
        let tracer = InstrumentationSystem.tracer
        return tracer is NoOpTracer ? nil : tracer
    }
}
