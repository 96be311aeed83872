"""From requests to results: queue, accounting, sender with back-off."""
