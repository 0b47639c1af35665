"""Evaluation: one target, many metrics, and records another laboratory can compare with."""
