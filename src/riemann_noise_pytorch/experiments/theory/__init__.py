"""The paper's definition, lemmas and theorems, each held against a number."""
