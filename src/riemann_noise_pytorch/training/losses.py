r"""Losses of the two players, as three functions of the discriminator's logits, by name.

Every loss of the usual families is a triple: what the discriminator minimises on the logits v of real images
and on those of generated ones, and what the generator minimises on the latter. With an f-divergence the
discriminator maximises

.. math:: F = E_P[g(v)] - E_Q[f^*(g(v))],

see :mod:`riemann_noise_pytorch.statistics.divergences`, and the generator has two forms to choose from:
``minimax`` minimises F, whose gradient vanishes where the discriminator wins; ``non-saturating`` maximises
E_Q[g(v)] instead. Both want larger logits, and they weigh images differently.

References:
    Goodfellow et al. (2014), Generative adversarial networks, arXiv:1406.2661, Section 3 (both forms).
    Nowozin, Cseke and Tomioka (2016), f-GAN, arXiv:1606.00709, Section 3.2 (both forms for every divergence).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, get_args

from torch import Tensor
from torch.nn.functional import relu, softplus

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.statistics.divergences import DIVERGENCES, FDivergence
from riemann_noise_pytorch.training.choices import GeneratorLoss


@dataclass(frozen=True)
class GanLoss:
    """A loss for both players; every part maps logits (N,) to losses (N,).

    Args:
        name: Its name.
        on_real: The discriminator's, on logits of real images.
        on_fake: The discriminator's, on logits of generated images.
        of_generator: The generator's, on logits of generated images.
        divergence: The f-divergence that the discriminator's loss estimates, with the sign turned; None for a
            loss of another kind.
        boundary: The logit above which the discriminator calls an image real, for its accuracy. Wasserstein's
            has none, and 0 stands for it.
    """

    name: str
    on_real: Callable[[Tensor], Tensor]
    on_fake: Callable[[Tensor], Tensor]
    of_generator: Callable[[Tensor], Tensor]
    divergence: FDivergence | None = None
    boundary: float = 0.0

    def of_discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Give the discriminator's loss, a scalar: its means over the real and over the generated batch."""
        return self.on_real(real_logits).mean() + self.on_fake(fake_logits).mean()


def _negative(v: Tensor) -> Tensor:
    return -v


def _itself(v: Tensor) -> Tensor:
    return v


def _softplus_of_negative(v: Tensor) -> Tensor:
    return softplus(-v)


def _below_one(v: Tensor) -> Tensor:
    return relu(1 - v)


def _above_minus_one(v: Tensor) -> Tensor:
    return relu(1 + v)


def _from_one(v: Tensor) -> Tensor:
    return (v - 1).square() / 2


def _from_zero(v: Tensor) -> Tensor:
    return v.square() / 2


LOGISTIC = GanLoss(
    "logistic",
    on_real=_softplus_of_negative,
    on_fake=softplus,
    of_generator=_softplus_of_negative,
    divergence=DIVERGENCES["gan"],
)
r"""The non-saturating logistic loss, which is that of the f-divergence ``gan``.

.. math:: L_D = \overline{\log(1 + e^{-D(x)})} + \overline{\log(1 + e^{D(G(z))})}, \quad
          L_G = \overline{\log(1 + e^{-D(G(z))})}

References:
    Goodfellow et al. (2014), Generative adversarial networks, arXiv:1406.2661, end of Section 3.
"""

HINGE = GanLoss("hinge", on_real=_below_one, on_fake=_above_minus_one, of_generator=_negative)
r"""The hinge loss: images beyond the margin teach the discriminator nothing.

.. math:: L_D = \overline{\max(0, 1 - D(x))} + \overline{\max(0, 1 + D(G(z)))}, \quad
          L_G = -\overline{D(G(z))}

References:
    Lim and Ye (2017), Geometric GAN, arXiv:1705.02894.
"""

LEAST_SQUARES = GanLoss(
    "least-squares", on_real=_from_one, on_fake=_from_zero, of_generator=_from_one, boundary=0.5
)
r"""The least-squares loss with targets 1 for real images and 0 for generated ones, the factors 1/2 included.

.. math:: L_D = \tfrac12 \overline{(D(x) - 1)^2} + \tfrac12 \overline{D(G(z))^2}, \quad
          L_G = \tfrac12 \overline{(D(G(z)) - 1)^2}

References:
    Mao et al. (2017), Least squares generative adversarial networks, arXiv:1611.04076, with a = 0, b = c = 1.
"""

WASSERSTEIN = GanLoss("wasserstein", on_real=_negative, on_fake=_itself, of_generator=_negative)
r"""The dual form of the Wasserstein-1 distance, for a discriminator held to be 1-Lipschitz by a penalty.

.. math:: L_D = -\overline{D(x)} + \overline{D(G(z))}, \quad L_G = -\overline{D(G(z))}

References:
    Arjovsky, Chintala and Bottou (2017), Wasserstein GAN, arXiv:1701.07875, Section 3.
"""


def f_gan_loss(divergence: FDivergence) -> GanLoss:
    r"""Make the loss of an f-divergence, in the generator's non-saturating form.

    .. math:: L_D = -\overline{g(D(x))} + \overline{f^*(g(D(G(z))))}, \quad L_G = -\overline{g(D(G(z)))}

    References:
        Nowozin, Cseke and Tomioka (2016), f-GAN, arXiv:1606.00709, Eq. 6 and Section 3.2.

    Args:
        divergence: The divergence; one of the user's own will do.

    Returns:
        The loss, called ``f-`` and the divergence's key.
    """

    def negative_on_real(v: Tensor) -> Tensor:
        return -divergence.of_real(v)

    return GanLoss(
        f"f-{divergence.key}",
        negative_on_real,
        divergence.of_fake,
        negative_on_real,
        divergence,
        divergence.neutral,
    )


_ALL = (LOGISTIC, HINGE, LEAST_SQUARES, WASSERSTEIN, *map(f_gan_loss, DIVERGENCES.values()))
LOSSES: Final[Mapping[str, GanLoss]] = MappingProxyType({loss.name: loss for loss in _ALL})
"""Every loss by its name, in the generator's non-saturating form where there are two."""


def make_loss(name: str, generator_loss: str = "non-saturating") -> GanLoss:
    """Give a loss by its name.

    Args:
        name: One of :data:`LOSSES`.
        generator_loss: The generator's form: ``non-saturating``, or ``minimax``, the negative of what the
            discriminator minimises on generated images. Hinge, least squares and Wasserstein have one form
            alone, which goes by the former name.

    Returns:
        The loss.

    Raises:
        InputError: An unknown name or form, or ``minimax`` for a loss that has one form alone.

    Example:
        >>> make_loss("logistic", "minimax").of_generator(Tensor([0.0]))
        tensor([-0.6931])
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    if generator_loss not in get_args(GeneratorLoss):
        raise unknown_name("form of the generator's loss", generator_loss, get_args(GeneratorLoss))
    loss = LOSSES[name]
    if generator_loss == "non-saturating":
        return loss
    if loss.divergence is None:
        raise InputError(
            f"the {name} loss has one form for the generator; leave out generator_loss=minimax, "
            "or take the logistic loss or one that begins with f-"
        )

    def against_the_discriminator(v: Tensor) -> Tensor:
        return -loss.on_fake(v)

    return replace(loss, of_generator=against_the_discriminator)
