/// Values by keys, of which no more are kept than may be: what is asked for stays, all of it if there is room for it.
///
/// They stand in a row, along which a hand goes round when there is no room for one more: it takes away the first that
/// nobody has asked for since it came by last. To note that somebody asks costs next to nothing. ("Clock": F. J. Corbató,
/// A Paging Experiment with the Multics System, 1968.)
package struct ClockCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Slot {
        let key: Key
        var value: Value
        var cost: Int
        var wasUsed = false
    }

    private let costMax: Int
    private var slots: [Slot] = []
    private var indices: [Key: Int32] = [:]
    private var hand = 0
    /// What all that is kept costs.
    package private(set) var cost = 0

    /// - Parameter costMax: What all that is kept may cost, in whichever unit.
    package init(costMax: Int) {
        self.costMax = costMax
    }

    /// The keys of all values.
    package var keys: [Key] { Array(indices.keys) }

    /// The value of a key, without anybody having asked for it.
    package func peek(_ key: Key) -> Value? { indices[key].map { slots[Int($0)].value } }

    /// The value of a key that somebody asks for, where it is right; one that is not stays, and is not asked for.
    package mutating func find(_ key: Key, where isValid: (Value) -> Bool) -> Value? {
        guard let index = indices[key].map(Int.init), isValid(slots[index].value) else { return nil }
        slots[index].wasUsed = true
        return slots[index].value
    }

    /// Keeps a value in the slot of an older one of its key, which so is asked for; for one that costs more than all may,
    /// nothing is kept.
    package mutating func put(_ value: Value, _ key: Key, cost more: Int = 1) {
        guard more <= costMax else { return remove(key) }
        let index = indices[key].map(Int.init)
        if let index, cost - slots[index].cost + more <= costMax {
            cost += more - slots[index].cost
            slots[index] = Slot(key: key, value: value, cost: more, wasUsed: true)
            return
        }
        // An older one must not be what makes room for this.
        remove(key)
        cost += more
        while cost > costMax {
            evict()
            // What stands there now was the last one: it is not its turn yet.
            if cost > costMax { hand += 1 }
        }
        add(Slot(key: key, value: value, cost: more, wasUsed: index != nil))
    }

    package mutating func remove(_ key: Key) {
        if let index = indices[key] { remove(at: Int(index)) }
    }

    /// Puts a new one where the hand is, which goes on: so it comes by all others before.
    private mutating func add(_ slot: Slot) {
        slots.append(slot)
        let last = slots.count - 1
        indices[slot.key] = Int32(last)
        if hand < last {
            slots.swapAt(hand, last)
            indices[slot.key] = Int32(hand)
            indices[slots[last].key] = Int32(last)
        }
        hand += 1
    }

    /// Each slot that the hand passes over was asked for since: so it passes over as many as were asked for.
    private mutating func evict() {
        while true {
            if hand >= slots.count { hand = 0 }
            guard slots[hand].wasUsed else { return remove(at: hand) }
            slots[hand].wasUsed = false
            hand += 1
        }
    }

    /// The last one takes the slot of the one that goes.
    private mutating func remove(at index: Int) {
        cost -= slots[index].cost
        indices[slots[index].key] = nil
        let last = slots.removeLast()
        guard index < slots.count else { return }
        slots[index] = last
        indices[last.key] = Int32(index)
    }
}
