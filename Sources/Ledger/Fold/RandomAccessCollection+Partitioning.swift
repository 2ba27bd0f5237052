extension RandomAccessCollection where Index == Int {
    /// Returns the index of the first element that the predicate accepts, or the end.
    ///
    /// The predicate must accept all elements after the first accepted one. Costs a binary search.
    func partitioningIndex(where isAccepted: (Element) -> Bool) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if isAccepted(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
