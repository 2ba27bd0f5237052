import AsyncPrimitives
import Testing

@Suite("Signals", .timeLimit(.minutes(1)))
struct AsyncSignalTests {
    @Test("signals before a wait count as one")
    func early() async {
        let signal = AsyncSignal()
        for _ in 1...3 { signal.signal() }
        await signal.wait()
        let start = ContinuousClock.now
        await signal.wait(until: start + .milliseconds(20))
        #expect(start.duration(to: .now) >= .milliseconds(20))
    }

    @Test("a waiting task is woken by a signal and by its cancellation")
    func waiting() async {
        let signal = AsyncSignal()
        let signalled = Task { await signal.wait() }
        signal.signal()
        await signalled.value
        let cancelled = Task { await AsyncSignal().wait() }
        cancelled.cancel()
        await cancelled.value
    }

    @Test("a listener is called at once, after each signal, and at intervals")
    func listening() async {
        let signal = AsyncSignal()
        let (calls, sink) = AsyncStream.makeStream(of: Void.self)
        var call = calls.makeAsyncIterator()
        let listener = Task { await signal.listen(every: .seconds(600)) { sink.yield() } }
        await call.next()
        signal.signal()
        await call.next()
        listener.cancel()
        await listener.value
        let frequent = Task { await signal.listen(every: .milliseconds(1)) { sink.yield() } }
        for _ in 1...3 { await call.next() }
        frequent.cancel()
        await frequent.value
    }
}
