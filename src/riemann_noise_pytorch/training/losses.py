r"""Losses of the two players, as three functions of the discriminator's logits.

Every loss of the usual families is a triple: what the discriminator minimises on the logits v of real images
and on those of generated ones, and what the generator minimises on the latter.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True)
class GanLoss:
    """A loss for both players; every part maps logits (N,) to losses (N,).

    Args:
        name: Its name.
        on_real: The discriminator's, on logits of real images.
        on_fake: The discriminator's, on logits of generated images.
        of_generator: The generator's, on logits of generated images.
    """

    name: str
    on_real: Callable[[Tensor], Tensor]
    on_fake: Callable[[Tensor], Tensor]
    of_generator: Callable[[Tensor], Tensor]

    def of_discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Give the discriminator's loss, a scalar: its means over the real and over the generated batch."""
        return self.on_real(real_logits).mean() + self.on_fake(fake_logits).mean()


def _softplus_of_negative(v: Tensor) -> Tensor:
    return softplus(-v)


LOGISTIC = GanLoss(
    "logistic", on_real=_softplus_of_negative, on_fake=softplus, of_generator=_softplus_of_negative
)
r"""The non-saturating logistic loss.

.. math:: L_D = \overline{\log(1 + e^{-D(x)})} + \overline{\log(1 + e^{D(G(z))})}, \quad
          L_G = \overline{\log(1 + e^{-D(G(z))})}

References:
    Goodfellow et al. (2014), Generative adversarial networks, arXiv:1406.2661, end of Section 3.
"""
