"""Penalties on the gradient of the discriminator with respect to images, behind one switch.

v(x) is the discriminator's logit. Every penalty is a mean of squared gradients of it, and they differ in the
images where it is taken and in the factor in front:

======== ==================================== ================================== =======
name     images                               mean of                            weight
======== ==================================== ================================== =======
r1       real                                 norm(grad v)^2                     gamma/2
r2       generated                            norm(grad v)^2                     gamma/2
r1-r2    real, and generated                  norm(grad v)^2                     gamma/2
js       real, and generated                  ((1 - D) norm(grad v))^2 on real,  gamma/2
                                              (D norm(grad v))^2 on generated
f-gan    generated                            f*''(g(v)) g'(v)^2 norm(grad v)^2  gamma/2
wgan-gp  mixtures of a real and a generated   (norm(grad v) - 1)^2               gamma
zero-gp  mixtures of a real and a generated   norm(grad v)^2                     gamma
======== ==================================== ================================== =======

Where logits depend on the whole batch (batch norm, StyleGAN2's spread of a group), the gradient is that of
their sum, and real and generated images are judged apart, as in the loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, final, get_args

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, unknown_name
from riemann_noise_pytorch.statistics.divergences import FDivergence
from riemann_noise_pytorch.training.batch import Batch
from riemann_noise_pytorch.training.choices import Regularizer
from riemann_noise_pytorch.training.config import TrainConfig
from riemann_noise_pytorch.training.losses import LOGISTIC, GanLoss, make_loss
from riemann_noise_pytorch.training.penalties import Discriminator, Penalty, squared_gradients


@final
@dataclass(frozen=True)
class R1(Penalty):
    r"""The gradient penalty on real images; the factor 1/2 is included.

    .. math:: \frac{\gamma}{2}\, E_P \|\nabla v(x)\|^2

    References:
        Mescheder, Geiger and Nowozin (2018), Which training methods for GANs do actually converge?,
        arXiv:1801.04406, Eq. 9. Their code's weight has no 1/2: its 10 is a gamma of 20.
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the mean over the real images."""
        return squared_gradients(discriminator, batch.real, batch.real_labels)[1].mean()


@final
@dataclass(frozen=True)
class R2(Penalty):
    r"""The gradient penalty on generated images; the factor 1/2 is included.

    .. math:: \frac{\gamma}{2}\, E_Q \|\nabla v(x)\|^2

    References:
        Mescheder, Geiger and Nowozin (2018), arXiv:1801.04406, Eq. 10.
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the mean over the generated images."""
        return squared_gradients(discriminator, batch.fake, batch.fake_labels)[1].mean()


@final
@dataclass(frozen=True)
class R1R2(Penalty):
    r"""R1 and R2 with the same weight; the factor 1/2 is included.

    .. math:: \frac{\gamma}{2}\, E_P \|\nabla v(x)\|^2 + \frac{\gamma}{2}\, E_Q \|\nabla v(x)\|^2
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the sum of both means."""
        real = squared_gradients(discriminator, batch.real, batch.real_labels)[1]
        fake = squared_gradients(discriminator, batch.fake, batch.fake_labels)[1]
        return real.mean() + fake.mean()


@final
@dataclass(frozen=True)
class JS(Penalty):
    r"""Instance noise in analytic form, for logits of a probability; the factor 1/2 is included.

    .. math:: \frac{\gamma}{2} \bigl(E_P[(1 - D)^2 \|\nabla v\|^2] + E_Q[D^2 \|\nabla v\|^2]\bigr),
              \qquad D = \mathrm{sigmoid}(v)

    gamma is the variance of the noise whose place it takes, in units of the images' square.

    References:
        Roth, Lucchi, Nowozin and Hofmann (2017), Stabilizing training of generative adversarial networks
        through regularization, arXiv:1705.09367. For images they take gamma 2, annealed, at every step.
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the sum of both weighted means."""
        v_real, on_real = squared_gradients(discriminator, batch.real, batch.real_labels)
        v_fake, on_fake = squared_gradients(discriminator, batch.fake, batch.fake_labels)
        real, fake = torch.sigmoid(-v_real).square() * on_real, torch.sigmoid(v_fake).square() * on_fake
        return real.mean() + fake.mean()


@final
@dataclass(frozen=True)
class FGan(Penalty):
    r"""Instance noise in analytic form, for any f-divergence; the factor 1/2 is included.

    .. math:: \frac{\gamma}{2}\, E_Q\bigl[f^{*\prime\prime}(g(v))\, g'(v)^2\, \|\nabla v\|^2\bigr]

    References:
        Roth, Lucchi, Nowozin and Hofmann (2017), arXiv:1705.09367.

    Args:
        divergence: The f-divergence of the loss.
    """

    divergence: FDivergence = field(kw_only=True)

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the weighted mean over the generated images."""
        logits, squares = squared_gradients(discriminator, batch.fake, batch.fake_labels)
        return (self.divergence.weight(logits) * squares).mean()


@dataclass(frozen=True)
class Between(Penalty):
    """A penalty on mixtures of a real and a generated image, which count as of the real one's class."""

    has_half: ClassVar[bool] = False
    needs_mix: ClassVar[bool] = True

    def squares(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the squared norms of the gradients at the mixtures, (N,)."""
        if batch.mix is None:
            raise ValueError("a penalty on mixtures needs Batch.mix, the share of the real image in each")
        share = batch.mix.view(-1, *(1 for _ in batch.real.shape[1:]))
        mixtures = share * batch.real + (1 - share) * batch.fake
        return squared_gradients(discriminator, mixtures, batch.real_labels)[1]


@final
@dataclass(frozen=True)
class WganGP(Between):
    r"""The gradient penalty of Wasserstein GANs: gradients of norm 1; there is no factor 1/2.

    .. math:: \gamma\, E \bigl(\|\nabla v(\epsilon x + (1 - \epsilon) y)\| - 1\bigr)^2,
              \qquad \epsilon \sim U(0, 1)

    References:
        Gulrajani et al. (2017), Improved training of Wasserstein GANs, arXiv:1704.00028, Eq. 3. Their weight
        is 10, at every step, and their discriminator has no batch norm.
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the mean over the mixtures."""
        return (_root(self.squares(discriminator, batch)) - 1).square().mean()


@final
@dataclass(frozen=True)
class ZeroGP(Between):
    r"""The zero-centred gradient penalty on mixtures; there is no factor 1/2.

    .. math:: \gamma\, E \|\nabla v(\epsilon x + (1 - \epsilon) y)\|^2, \qquad \epsilon \sim U(0, 1)

    References:
        Thanh-Tung, Tran and Venkatesh (2019), Improving generalization and stability of generative
        adversarial networks, arXiv:1902.03984.
    """

    def mean(self, discriminator: Discriminator, batch: Batch) -> Tensor:
        """Compute the mean over the mixtures."""
        return self.squares(discriminator, batch).mean()


_PLAIN: Mapping[str, type[R1 | R2 | R1R2 | JS | WganGP | ZeroGP]] = MappingProxyType(
    {"r1": R1, "r2": R2, "r1-r2": R1R2, "js": JS, "wgan-gp": WganGP, "zero-gp": ZeroGP}
)
_OF_A_PROBABILITY = ("js", "gan")
"""Divergences of which sigmoid(v), at the best discriminator, is the probability of a real image."""


def make_penalty(
    name: str, gamma: float, interval: int = 1, *, anneal_steps: int | None = None, loss: GanLoss = LOGISTIC
) -> Penalty:
    """Give a penalty by its name.

    Args:
        name: r1, r2, r1-r2, js, f-gan, wgan-gp or zero-gp.
        gamma: Weight, 0 or more; see the module for which names it includes a factor 1/2.
        interval: Steps from one evaluation to the next, 1 or more.
        anneal_steps: Steps of a run over which the weight falls to a hundredth, 1 or more; None: it does not.
        loss: The loss, to which js and f-gan must fit.

    Returns:
        The penalty.

    Raises:
        InputError: An unknown name, a number out of range, or a penalty that does not fit the loss.

    Example:
        >>> make_penalty("js", 2.0, anneal_steps=1000).factor(1000)
        0.01
    """
    if name not in get_args(Regularizer):
        raise unknown_name("regularizer", name, get_args(Regularizer))
    if name == "f-gan":
        return FGan(gamma, interval, anneal_steps, divergence=_divergence_with_a_weight(loss))
    if name == "js":
        _require_a_probability(loss)
    return _PLAIN[name](gamma, interval, anneal_steps)


def penalty_of(config: TrainConfig) -> Penalty:
    """Give the penalty of a run.

    Raises:
        InputError: The penalty does not fit the loss.
    """
    return make_penalty(
        config.regularizer,
        config.gamma,
        config.regularizer_interval,
        anneal_steps=config.steps if config.anneal else None,
        loss=make_loss(config.loss, config.generator_loss),
    )


def _divergence_with_a_weight(loss: GanLoss) -> FDivergence:
    if loss.divergence is None:
        raise InputError(
            f"regularizer f-gan takes its weight from an f-divergence, which loss {loss.name} has not; "
            "take regularizer r1-r2, or the logistic loss or one that begins with f-"
        )
    if loss.divergence.key == "total-variation":
        raise InputError(
            "regularizer f-gan is 0 with loss f-total-variation, whose conjugate is linear; take "
            "regularizer r1-r2, or another loss"
        )
    return loss.divergence


def _require_a_probability(loss: GanLoss) -> None:
    divergence = loss.divergence
    if divergence is None or divergence.key not in _OF_A_PROBABILITY:
        general = "f-gan" if divergence is not None and divergence.key != "total-variation" else "r1-r2"
        raise InputError(
            f"regularizer js takes sigmoid(logit) for the probability of a real image, which it is not with "
            f"loss {loss.name}; take regularizer {general}, or loss logistic, f-js or f-gan"
        )


def _root(squares: Tensor) -> Tensor:
    """The square root, of slope 0 where it is 0 and has none."""
    positive = squares > 0
    return torch.where(positive, squares.where(positive, 1).sqrt(), 0)
