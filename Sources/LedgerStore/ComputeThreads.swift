/// The threads of the global executor, for work that may compute for long.
///
/// All connections live on the reactor's thread, and a long computation there would delay them all.
package enum ComputeThreads {
    /// Runs a closure on these threads and returns its result.
    package static func run<R, Failure: Error>(_ body: () throws(Failure) -> R) async throws(Failure) -> R {
        try await withTaskExecutorPreference(globalConcurrentExecutor) { () async throws(Failure) in try body() }
    }
}
