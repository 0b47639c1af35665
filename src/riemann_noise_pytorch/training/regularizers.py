r"""Penalties on the discriminator's gradient, evaluated at some steps only.

A lazy penalty is computed at every k-th step and multiplied by k, so that its mean effect stays the same.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix B.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class R1:
    r"""The gradient penalty on real images.

    .. math:: R_1 = \frac{\gamma}{2}\, \frac{1}{N} \sum_i \|\nabla_{x_i} D(x_i)\|^2

    The factor 1/2 is included. With batch norm, logits depend on the whole batch; the gradient is then that
    of their sum.

    References:
        Mescheder, Geiger and Nowozin (2018), Which training methods for GANs do actually converge?,
        arXiv:1801.04406, Eq. 9. Their code's weight has no 1/2: its 10 is a gamma of 20.

    Args:
        gamma: Weight, 0 or more.
        interval: Steps k from one evaluation to the next, 1 or more.
    """

    gamma: float
    interval: int = 16

    def is_due(self, step: int) -> bool:
        """Tell whether this step, counted from 0, has a penalty."""
        return self.gamma > 0 and step % self.interval == 0

    @property
    def is_lazy(self) -> bool:
        """Whether the penalty is evaluated at some steps only, and then in an optimiser step of its own."""
        return self.gamma > 0 and self.interval > 1

    def __call__(self, discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
        """Compute the penalty, not yet multiplied by the interval.

        Args:
            discriminator: From images (N, C, H, W) to logits (N,), to be differentiated twice.
            real: Real images; of the precision in which the penalty is wanted.

        Returns:
            A scalar with a graph to the discriminator's parameters.

        Example:
            >>> images = torch.ones(2, 1, 4, 4)
            >>> R1(gamma=2.0)(lambda x: 3 * x.sum(dim=(1, 2, 3)), images).item()
            144.0
        """
        images = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean() * (self.gamma / 2)
