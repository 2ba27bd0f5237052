internal import Ledger

extension JSONWriter {
    mutating func field(_ name: String, _ units: Units) {
        self.name(name)
        object { writer in
            writer.field("total", units.total)
            writer.field("done", units.done)
        }
    }
}
