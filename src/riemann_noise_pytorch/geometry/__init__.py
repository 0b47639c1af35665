"""The geometry of a generator, measured: how strongly it stretches small steps (Section 5, Table 2)."""
