"""From rollouts to metric families."""
