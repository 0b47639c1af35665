"""The paper's last experiment: the same images inverted by every generator of a comparison."""
