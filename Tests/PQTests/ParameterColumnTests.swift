import LedgerTestSupport
import Testing

@testable import PQ

@Suite("Parameter columns")
struct ParameterColumnTests {
    /// Compares a column with the array of the same values.
    private func expect<Value>(
        _ kind: ParameterColumn.Kind, _ values: [Value?], _ whole: ([Value?]) -> Parameter,
        _ add: (inout ParameterColumn, Value?) -> Void
    ) {
        for values in [[], [nil], values, values + [nil] + values] {
            var column = ParameterColumn(kind)
            for value in values { add(&column, value) }
            let (one, other) = (column.parameter, whole(values))
            #expect(one.type == other.type && one.bytes == other.bytes, "\(kind) \(values)")
            #expect(column.count == values.count)
        }
    }

    /// Compares the only value of a column with the same value as a parameter.
    private func expectSingle<Value>(
        _ kind: ParameterColumn.Kind, _ values: [Value?], _ alone: (Value?) -> Parameter,
        _ add: (inout ParameterColumn, Value?) -> Void
    ) {
        for value in values + [nil] {
            var column = ParameterColumn(kind)
            add(&column, value)
            let (one, other) = (column.single, alone(value))
            #expect(one.type == other.type && one.bytes == other.bytes, "\(kind) \(String(describing: value))")
        }
    }

    @Test("a column of one value, also null, equals that value as a parameter, for every type")
    func sameAsValues() {
        expectSingle(.int2, [0, -1], Parameter.int2) { $0.append(int2: $1) }
        expectSingle(.int4, [0, .max], Parameter.int4) { $0.append(int4: $1) }
        expectSingle(.int8, [.min, 1], Parameter.int8) { $0.append(int8: $1) }
        expectSingle(.timestamptz, [1_700_000_000_000_000], Parameter.timestamptz) {
            $0.append(microsecondsSince1970: $1)
        }
        expectSingle(.uuid, [UUIDBytes(high: 1, low: .max)], Parameter.uuid) { $0.append(uuid: $1) }
        expectSingle(.text, ["", String(repeating: "long ", count: 100)], Parameter.text) { $0.append(text: $1) }
        expectSingle(.bytea, [[], [0, 255]], Parameter.bytea) { $0.append(bytea: $1) }
    }

    @Test("a column equals the array of its values for every type, with and without nulls")
    func sameAsArrays() {
        expect(.int2, [0, 1, -1, .max, .min], Parameter.int2s) { $0.append(int2: $1) }
        expect(.int4, [0, 1, -1, .max, .min], Parameter.int4s) { $0.append(int4: $1) }
        expect(.int8, [0, 1, -1, .max, .min], Parameter.int8s) { $0.append(int8: $1) }
        expect(.timestamptz, [0, 1_700_000_000_000_000, -1], Parameter.timestamptzs) {
            $0.append(microsecondsSince1970: $1)
        }
        expect(.uuid, [UUIDBytes(high: 1, low: .max)], Parameter.uuids) { $0.append(uuid: $1) }
        expect(.text, ["", "é", String(repeating: "long ", count: 100)], Parameter.texts) { $0.append(text: $1) }
        expect(.bytea, [[], [0, 255], [UInt8](repeating: 7, count: 32)], Parameter.byteas) { $0.append(bytea: $1) }
    }

    @Test("a column without its last nulls equals the array of the values before them")
    func lastNulls() {
        for (values, kept) in [([], 0), ([nil, nil], 0), ([nil, "a"], 2), (["a", nil, "b", nil, nil], 3)]
            as [([String?], Int)]
        {
            var column = ParameterColumn(.text)
            for value in values { column.append(text: value) }
            #expect(column.parameterWithoutLastNulls.bytes == Parameter.texts(Array(values.prefix(kept))).bytes)
            #expect(column.count == values.count)
        }
    }
}
