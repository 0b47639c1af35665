"""Riemannian noise on CUDA devices: its passes as Triton kernels, and the choice between them and torch."""
