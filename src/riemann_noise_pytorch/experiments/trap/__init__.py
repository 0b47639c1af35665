"""Theorem 1 on trained generators: too few dimensions, enough dimensions, and noise."""
