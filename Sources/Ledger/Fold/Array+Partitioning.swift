extension Array {
    /// The first index whose element the predicate accepts, where it accepts all elements from some point on.
    /// Costs a binary search.
    func partitioningIndex(where isAccepted: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if isAccepted(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
