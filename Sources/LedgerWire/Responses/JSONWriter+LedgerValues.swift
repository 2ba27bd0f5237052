public import Ledger

extension JSONWriter {
    /// Writes a position in the ledger as an integer; null without one.
    public mutating func field(_ name: String, _ sequence: EventSequence?) {
        field(name, sequence?.number)
    }

    mutating func field(_ name: String, _ units: Units) {
        self.name(name)
        object { writer in
            writer.field("total", units.total)
            writer.field("done", units.done)
        }
    }
}
