"""A soak: the real process for minutes or hours, a backend that dies and returns, kill -9, and the ledger of it all."""
