internal import Glibc

/// Threads for blocking work, which Swift tasks must not do.
enum Threads {
    /// Runs a closure on a separate thread and waits for its result.
    static func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            start(Work { continuation.resume(with: Result { try body() }) })
        }
    }

    private final class Work {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    private static func start(_ work: Work) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(work).toOpaque()
        let failure = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, context)
        precondition(failure == 0, "the system refused to create a thread: error \(failure)")
        pthread_detach(thread)
    }
}
