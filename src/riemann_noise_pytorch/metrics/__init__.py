"""Numbers for Table 1: how far generated images are from real ones, and how smoothly they change."""
