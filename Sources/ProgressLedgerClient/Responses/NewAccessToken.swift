package import Ledger
package import LedgerWire

extension AccessToken: ResponseBody {}

/// The response to a request that creates a token.
package struct NewAccessToken: ResponseBody {
    package let token: AccessToken
    /// The text that callers present.
    package let text: String

    package init(_ value: JSONValue) throws(ResponseError) {
        token = try AccessToken(value)
        guard let text = value["token"]?.text else { throw ResponseError(field: "token") }
        self.text = text
    }
}

/// The response to a request for all tokens.
package struct AccessTokenList: ResponseBody {
    package let tokens: [AccessToken]

    package init(_ value: JSONValue) throws(ResponseError) {
        guard let elements = value["tokens"]?.elements else { throw ResponseError(field: "tokens") }
        var tokens: [AccessToken] = []
        for element in elements { tokens.append(try AccessToken(element)) }
        self.tokens = tokens
    }
}
