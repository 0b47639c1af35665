"""The names to choose among when building a network; free of torch, so that command lines start at once."""

from typing import Literal

Architecture = Literal["dcgan", "stylegan2"]
Norm = Literal["batch", "instance", "none"]
NoiseKind = Literal["none", "euclidean", "riemannian"]
NoisePlace = Literal["before", "after"]
