from progress_ledger.airflow import LedgerPlugin  # noqa: F401  the one line of the documentation
