internal import Glibc

/// Threads for the few libpq calls that block.
enum Thread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Runs the closure on a new thread that ends with it.
    static func detached(named name: String, _ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
        let failure = unsafe pthread_create(&thread, nil, threadMain, body)
        precondition(failure == 0, "cannot create a thread: error \(failure)")
        _ = thread
        _ = pthread_detach(thread)
    }

    fileprivate static func run(_ pointer: UnsafeMutableRawPointer) {
        unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
    }
}

private func threadMain(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let pointer = unsafe pointer { unsafe Thread.run(pointer) }
    return nil
}
