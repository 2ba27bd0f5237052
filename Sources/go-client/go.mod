module github.com/progress-ledger/progress-ledger/Sources/go-client

go 1.19
