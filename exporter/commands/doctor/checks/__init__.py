"""The checks, by subject: pure functions from an examination to symptoms. `table` has the rows."""
