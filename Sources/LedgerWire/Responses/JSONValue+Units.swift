internal import Ledger

extension JSONValue {
    func units(_ field: String) throws(ResponseError) -> Units {
        guard let units = try unitsIfPresent(field) else { throw ResponseError(field: field) }
        return units
    }

    func unitsIfPresent(_ field: String) throws(ResponseError) -> Units? {
        guard let value = self[field], value != .null else { return nil }
        let reader = ResponseReader(value)
        return Units(total: try reader.big("total"), done: try reader.big("done"))
    }
}
