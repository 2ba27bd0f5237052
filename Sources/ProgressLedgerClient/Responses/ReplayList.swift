public import Ledger
package import LedgerWire

/// The newest replays, newest first, without their findings.
public struct ReplayList: Hashable, Sendable {
    public let replays: [Replay]
}

extension ReplayList: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var replays: [Replay] = []
        for element in try value.elements("replays") { replays.append(try Replay(element)) }
        self.replays = replays
    }
}
