enum PlaceholderLedgerProjection {}
