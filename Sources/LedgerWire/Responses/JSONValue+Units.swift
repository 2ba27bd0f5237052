internal import Ledger

extension JSONValue {
    func units(_ field: String) throws(ResponseError) -> Units {
        guard let units = try unitsIfPresent(field) else { throw ResponseError(field: field) }
        return units
    }

    func unitsIfPresent(_ field: String) throws(ResponseError) -> Units? {
        guard let value = self[field], value != .null else { return nil }
        let answer = ResponseReader(value)
        return Units(total: try answer.big("total"), done: try answer.big("done"))
    }
}
