"""Training: options, losses, penalties, averages, snapshots, and the loop that turns them into a run folder.

The loop knows no metric: whoever wants to evaluate a run while it trains passes a function to be called at
every tick.
"""
