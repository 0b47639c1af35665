"""What a discriminator sees in a step: real images, generated ones, and their classes."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """The images of a step, and their classes where the run has classes.

    Args:
        real: Real images, (N, C, H, W).
        fake: Generated images, as many; in a training step with a graph to the generator.
        real_labels: Classes of the real images, int64 (N,), or None.
        fake_labels: Those of the generated ones.
        mix: For penalties between the two: the share of the real image in each mixture, (N,), in [0, 1).
    """

    real: Tensor
    fake: Tensor
    real_labels: Tensor | None = None
    fake_labels: Tensor | None = None
    mix: Tensor | None = None


def given_labels(labels: Tensor | None) -> tuple[Tensor, ...]:
    """The further arguments of a network: none for a run without classes."""
    return () if labels is None else (labels,)
