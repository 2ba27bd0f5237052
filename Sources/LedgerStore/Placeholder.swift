enum PlaceholderLedgerStore {}
