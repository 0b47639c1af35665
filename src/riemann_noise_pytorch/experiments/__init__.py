"""Experiments: training, measurements and statistics joined into records from which pages are made."""
