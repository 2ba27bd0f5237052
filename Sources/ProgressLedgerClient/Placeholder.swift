enum PlaceholderProgressLedgerClient {}
