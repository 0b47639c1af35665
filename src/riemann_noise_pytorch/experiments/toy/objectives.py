r"""The JS regulariser of many networks at once, each with a value of its own.

It is that of :class:`~riemann_noise_pytorch.training.regularizers.JS`, which has one value for one network:

.. math:: \Omega = E_P[(1 - D)^2 \|\nabla v\|^2] + E_Q[D^2 \|\nabla v\|^2], \qquad D = \mathrm{sigmoid}(v)

References:
    Roth, Lucchi, Nowozin and Hofmann (2017), arXiv:1705.09367.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Penalised(NamedTuple):
    """The regulariser of each network, (networks,), and the logits that it was computed from."""

    omega: Tensor
    real_logits: Tensor
    fake_logits: Tensor


def js_regularizer(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Penalised:
    """Compute the regulariser of each network, without its weight.

    Args:
        discriminator: From points (networks, N, m) to logits (networks, N), to be differentiated twice.
        real: Real points, (networks, N, m).
        fake: Generated points, of the same shape.

    Returns:
        Omega with a graph to the discriminators' parameters, and the logits (networks, N).
    """
    points = torch.cat([real, fake], dim=1).detach().requires_grad_(True)
    logits = discriminator(points)
    (gradient,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    on_real, on_fake = gradient.square().sum(dim=2).chunk(2, dim=1)
    v_real, v_fake = logits.chunk(2, dim=1)
    each = (-v_real).sigmoid().square() * on_real + v_fake.sigmoid().square() * on_fake
    return Penalised(each.mean(dim=1), v_real, v_fake)
