import LedgerHTTP
import LedgerWire
import Testing

@Suite("Executions that are started at the same time")
struct ConcurrentStartTests {
    @Test("of 8 clients with 60 starts each, all succeed, and attempts have no gap and no duplicate")
    func attempts() async throws {
        try await withServer({
            // A start that is folded too late would be answered without its attempt.
            $0.foldDeadline = .seconds(110)
            $0.writeDeadline = .seconds(120)
        }) { client, _ in
            let job = try await client.createJob()
            let (clients, starts) = (8, 60)
            let responses = try await withThrowingTaskGroup(of: [RawResponse].self) { group in
                for _ in 0..<clients {
                    group.addTask {
                        var responses: [RawResponse] = []
                        for _ in 0..<starts {
                            responses.append(try await client.post("/v1/jobs/\(job)/executions", #"{"task":"t"}"#))
                        }
                        return responses
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(responses.allSatisfy { $0.status == 201 }, "\(Set(responses.map(\.status)))")
            let attempts = try responses.compactMap { try $0.json["attempt"]?.integer }
            #expect(attempts.sorted() == (1...clients * starts).map { Int128($0) })
            let sequences = try responses.compactMap { try $0.json["sequence"]?.integer }
            #expect(sequences.sorted() == (2...1 + clients * starts).map { Int128($0) })
            #expect(Set(try responses.compactMap { try $0.json["execution"]?.text }).count == clients * starts)
            // Later starts have later attempts.
            let order = zip(sequences, attempts).sorted { $0.0 < $1.0 }.map(\.1)
            #expect(order == attempts.sorted())
        }
    }
}
