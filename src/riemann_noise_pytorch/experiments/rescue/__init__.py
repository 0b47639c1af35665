"""What saves a GAN from collapse: settings that fail and settings that work, with each regulariser."""
