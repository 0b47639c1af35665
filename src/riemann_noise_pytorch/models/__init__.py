"""Section 5's networks, each with a slot for noise: what they promise, DCGAN, building and initialising."""
