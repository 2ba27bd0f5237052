extension String {
    /// The text of these bytes; nil where they are not UTF-8.
    ///
    /// Most texts are ASCII, which nothing need be done to validate: the general initialiser first finds out at run time what
    /// it validates, which takes longer than all the rest.
    init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.reduce(0, |) < 0x80 else {
            self.init(validating: bytes, as: UTF8.self)
            return
        }
        self.init(decoding: bytes, as: UTF8.self)
    }
}
