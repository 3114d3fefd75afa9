"""The servers: one protocol each; they decode, have the lower layers answer, and keep order, limits and time."""
