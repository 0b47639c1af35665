"""Where a generator loses dimensions, how well conditioned it is, and what to do about it."""
