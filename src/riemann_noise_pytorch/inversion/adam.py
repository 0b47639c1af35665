r"""Adam on rows that can leave: moments are tensors beside the values, one row a sample.

.. math::

    m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
    x \leftarrow x - \eta\, \frac{m / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \epsilon}

The arithmetic is that of ``torch.optim.Adam``, operation by operation.

References:
    Kingma and Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980.
"""

from torch import Tensor

EPSILON = 1e-8


def adam_step(
    value: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor],
    count: int,
    lr: float,
    betas: tuple[float, float],
) -> None:
    """Do one step in place.

    Args:
        value: What is optimised, any shape.
        gradient: Of the same shape.
        moments: m and v before the step, of the same shape; zeros before the first.
        count: The number of this step, from 1.
        lr: Learning rate.
        betas: The two decays.
    """
    first, second = moments
    beta1, beta2 = betas
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    denominator = (second.sqrt() / (1 - beta2**count) ** 0.5).add_(EPSILON)
    value.addcdiv_(first, denominator, value=-(lr / (1 - beta1**count)))
