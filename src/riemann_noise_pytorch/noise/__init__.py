"""How noise enters a feature map (Section 4): the formulas, the layers, and where epsilon comes from."""
