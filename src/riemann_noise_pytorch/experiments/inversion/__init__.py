"""Inversion of given images: from files to latents, noise, and what the noise contributed."""
