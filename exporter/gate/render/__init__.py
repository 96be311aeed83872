"""Writes gates: a few answers → AnalysisTemplate, Secret and what to add to the Rollout. Pure."""
