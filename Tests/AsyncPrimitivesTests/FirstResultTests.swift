import AsyncPrimitives
import Testing

@Suite("The first of several results", .timeLimit(.minutes(1)))
struct FirstResultTests {
    private struct Failed: Error, Equatable {}

    @Test("the first result counts, before a wait and during it")
    func first() async {
        let early = FirstResult<Int, Failed>()
        early.end(.success(1))
        early.end(.success(2))
        early.end(.failure(Failed()))
        #expect(await early.wait() == .success(1))
        let late = FirstResult<Int, Failed>()
        async let result = late.wait()
        late.end(.failure(Failed()))
        late.end(.success(3))
        #expect(await result == .failure(Failed()))
    }

    @Test("of many simultaneous results, one counts")
    func simultaneous() async {
        for _ in 1...100 {
            let first = FirstResult<Int, Never>()
            await withTaskGroup { group in
                for number in 1...8 { group.addTask { first.end(.success(number)) } }
                group.addTask {
                    let result = await first.wait()
                    #expect((1...8).contains(result.get()))
                }
            }
        }
    }
}
