// Types of modules that are no products appear in this module's interface: a task needs one import.

@_exported public import Ledger

@_exported public import struct LedgerWire.JobAnswer
@_exported public import struct LedgerWire.RequestProblem
