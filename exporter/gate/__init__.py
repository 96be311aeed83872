"""Canary gates: what a store answers to a query, read as Argo Rollouts' controller reads it. It stands alone."""
