"""Inversion: from an image back to the latents and the noise that make it, for any generator."""
