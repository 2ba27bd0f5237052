extension String {
    /// Creates a string from these bytes; nil if they are not UTF-8.
    ///
    /// Most texts are ASCII and need no validation. The general initialiser determines at run time which encoding it
    /// validates, which takes longer than everything else.
    init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.reduce(0, |) < 0x80 else {
            self.init(validating: bytes, as: UTF8.self)
            return
        }
        self.init(decoding: bytes, as: UTF8.self)
    }
}
