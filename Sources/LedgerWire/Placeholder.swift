enum PlaceholderLedgerWire {}
