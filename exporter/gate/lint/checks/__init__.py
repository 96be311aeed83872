"""What rules look at: a module for each part of a gate."""
