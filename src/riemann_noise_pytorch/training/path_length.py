r"""The path-length penalty of the generator, evaluated at some steps only.

A lazy penalty is computed at every k-th step and multiplied by k, so that its mean effect stays the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PathLength:
    r"""The path-length penalty: a step in w should move the image equally far everywhere.

    .. math:: \lambda\, \frac{1}{N} \sum_i \bigl(\|J_{w_i}^T y_i\| - a\bigr)^2, \qquad
        \|J_w^T y\|^2 = \frac{1}{L} \sum_{lk} \Bigl(\frac{\partial\, y \cdot G(w)}{\partial w_{lk}}\Bigr)^2

    y is an image of standard normal noise over sqrt(HW), L the number of rows of w, and a a moving average of
    the lengths, which have been averaged into it before.

    References:
        Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Eq. 4
        and Appendix B.

    Args:
        weight: lambda, 0 or more.
        interval: Steps k from one evaluation to the next, 1 or more.
        decay: Share of a batch's mean length in the moving average a, in (0, 1].
        batch_shrink: The penalty takes a batch so many times smaller.
    """

    weight: float
    interval: int = 4
    decay: float = 0.01
    batch_shrink: int = 2

    def is_due(self, step: int) -> bool:
        """Tell whether this step, counted from 0, has a penalty."""
        return self.weight > 0 and step % self.interval == 0

    def lengths(self, synthesis: Callable[[Tensor], Tensor], ws: Tensor, noise: Tensor) -> Tensor:
        """Compute the length of every sample's path.

        Args:
            synthesis: From rows of w (N, L, w_dim) to images (N, C, H, W), to be differentiated twice.
            ws: Rows of w, with a graph to the mapping or without.
            noise: Standard normal images, (N, C, H, W).

        Returns:
            (N,), with a graph.

        Example:
            >>> ws, noise = torch.zeros(2, 4, 3), torch.ones(2, 1, 4, 4)
            >>> PathLength(2.0).lengths(lambda ws: ws[:, :1, :1, None].expand(2, 1, 4, 4), ws, noise)
            tensor([2., 2.])
        """
        if not ws.requires_grad:
            ws = ws.detach().requires_grad_(True)
        images = synthesis(ws)
        projected = (images * noise).sum() / math.sqrt(math.prod(images.shape[2:]))
        (gradient,) = torch.autograd.grad(projected, ws, create_graph=True)
        return gradient.square().sum(dim=2).mean(dim=1).sqrt()

    def new_average(self, average: Tensor, mean_length: Tensor) -> Tensor:
        """Move the average a step towards the mean length of a batch (of all processes); no graph."""
        return average.lerp(mean_length.detach(), self.decay)

    def __call__(self, lengths: Tensor, average: Tensor) -> Tensor:
        """Compute the penalty, not yet multiplied by the interval.

        Args:
            lengths: From :meth:`lengths`.
            average: The moving average, with this batch in it, a scalar without graph.
        """
        return (lengths - average).square().mean() * self.weight
