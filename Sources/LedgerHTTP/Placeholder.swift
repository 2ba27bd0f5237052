enum PlaceholderLedgerHTTP {}
import Hummingbird
