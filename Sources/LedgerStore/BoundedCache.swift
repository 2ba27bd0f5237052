/// A bounded cache with CLOCK eviction.
///
/// A hand cycles through the slots if there is no room. It evicts the first entry that was not used since the hand last
/// passed it. Marking an entry as used costs almost nothing. See F. J. Corbató, A Paging Experiment with the Multics
/// System, 1968.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
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
    /// The cost of all entries.
    package private(set) var cost = 0

    /// - Parameter costMax: The maximum cost of all entries, in any unit.
    package init(costMax: Int) {
        self.costMax = costMax
    }

    /// The keys of all entries.
    package var keys: [Key] { Array(indices.keys) }

    /// Returns the value without marking it as used.
    package func peek(_ key: Key) -> Value? { indices[key].map { slots[Int($0)].value } }

    /// Returns the value and marks it as used, if `isValid` accepts it.
    ///
    /// A rejected value stays, and is not marked.
    package mutating func find(_ key: Key, where isValid: (Value) -> Bool) -> Value? {
        guard let index = indices[key].map(Int.init), isValid(slots[index].value) else { return nil }
        slots[index].wasUsed = true
        return slots[index].value
    }

    /// Inserts or replaces a value.
    ///
    /// A replaced value counts as used. A value that exceeds the whole budget is not stored.
    package mutating func put(_ value: Value, _ key: Key, cost newCost: Int = 1) {
        guard newCost <= costMax else { return remove(key) }
        let index = indices[key].map(Int.init)
        if let index, cost - slots[index].cost + newCost <= costMax {
            cost += newCost - slots[index].cost
            slots[index] = Slot(key: key, value: value, cost: newCost, wasUsed: true)
            return
        }
        // The older value must not be evicted to make room for the newer one.
        remove(key)
        cost += newCost
        while cost > costMax {
            evict()
            // The last entry has moved into this slot, and must be examined last.
            if cost > costMax { hand += 1 }
        }
        add(Slot(key: key, value: value, cost: newCost, wasUsed: index != nil))
    }

    package mutating func remove(_ key: Key) {
        if let index = indices[key] { remove(at: Int(index)) }
    }

    /// Inserts an entry at the hand and advances the hand.
    ///
    /// The new entry is examined last.
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

    /// Evicts one entry.
    ///
    /// The hand clears the mark of each used entry that it passes, so each use costs at most one step.
    private mutating func evict() {
        while true {
            if hand >= slots.count { hand = 0 }
            guard slots[hand].wasUsed else { return remove(at: hand) }
            slots[hand].wasUsed = false
            hand += 1
        }
    }

    /// Removes an entry by moving the last one into its slot.
    private mutating func remove(at index: Int) {
        cost -= slots[index].cost
        indices[slots[index].key] = nil
        let last = slots.removeLast()
        guard index < slots.count else { return }
        slots[index] = last
        indices[last.key] = Int32(index)
    }
}
