"""The toy of Roth et al. (2017): a mixture in a plane in space, and what regularisation does to it."""
