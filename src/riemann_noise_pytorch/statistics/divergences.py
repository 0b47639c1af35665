r"""The f-divergences, and the objective by which a discriminator estimates one of them.

.. math:: D_f(P \| Q) = E_Q\Bigl[f\Bigl(\frac pq\Bigr)\Bigr] = \sup_T\; E_P[T] - E_Q[f^*(T)], \qquad
          f^*(t) = \sup_u\; u\,t - f(u)

P is the law of real images, Q that of generated ones, f is convex. A discriminator gives a logit v, any real
number; an activation g brings it into the domain of the conjugate f*, and T = g(v). The supremum is at
T = f'(p/q): an image that is as likely real as generated has T = f'(1).

Adding noise of variance s to the images changes the objective, to first order in s and at the best T, by
-s/2 times

.. math:: \Omega = E_Q\bigl[f^{*\prime\prime}(T)\, \|\nabla T\|^2\bigr]
                 = E_Q\bigl[f^{*\prime\prime}(g(v))\, g'(v)^2\, \|\nabla v\|^2\bigr],

a penalty on gradients that takes the place of the noise. The factor of the last norm is
:meth:`FDivergence.weight`.

References:
    Nowozin, Cseke and Tomioka (2016), f-GAN: training generative neural samplers using variational divergence
    minimization, arXiv:1606.00709 (the objective and the activations).
    Roth, Lucchi, Nowozin and Hofmann (2017), Stabilizing training of generative adversarial networks through
    regularization, arXiv:1705.09367 (the penalty).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LOG_2: Final = math.log(2)


class FDivergence(ABC):
    """An f-divergence with the activation that a discriminator of it ends in.

    Every method works element by element, on tensors of any shape and of any floating dtype. What is computed
    from logits (:meth:`of_real`, :meth:`of_fake`, :meth:`weight`) is finite, with its gradients, at logits up
    to 50 on either side in float32.

    A divergence of one's own is a subclass with the attributes below and the five abstract methods; losses
    and penalties then know it. The docstring of each of the five is its formula.

    Attributes:
        key: Its name in options, such as ``reverse-kl``.
        name: Its name in tables.
        domain: The ends of the interval of t where the conjugate is finite.
        at_one: f'(1), the value of T that calls an image neither real nor generated.
        neutral: The logit that does: g(neutral) = f'(1).
        everywhere: Whether f is its formula at every real u; otherwise it is infinite at u < 0.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    domain: ClassVar[tuple[float, float]]
    at_one: ClassVar[float]
    neutral: ClassVar[float] = 0.0
    everywhere: ClassVar[bool] = False

    def f(self, u: Tensor) -> Tensor:
        """Compute f at a ratio of densities u = p/q."""
        value = self._f(u)
        return value if self.everywhere else torch.where(u < 0, math.inf, value)

    def conjugate(self, t: Tensor) -> Tensor:
        """Compute the conjugate f*(t), the supremum of u t - f(u) over u; infinite outside the domain."""
        low, high = self.domain
        return torch.where((t < low) | (t > high), math.inf, self._conjugate(t))

    def of_real(self, v: Tensor) -> Tensor:
        """Compute what a real image of logit v adds to the objective: T = g(v)."""
        return self.activation(v)

    @abstractmethod
    def activation(self, v: Tensor) -> Tensor:
        """Compute g(v), which brings a logit into the domain of the conjugate."""

    @abstractmethod
    def of_fake(self, v: Tensor) -> Tensor:
        """Compute f*(g(v)), what a generated image of logit v takes off the objective, in a stable form."""

    @abstractmethod
    def weight(self, v: Tensor) -> Tensor:
        """Compute f*''(g(v)) g'(v)^2, the factor of the squared gradient of the logit in the penalty."""

    def formulas(self) -> dict[str, str]:
        """Give the formulas by their headings in tables, as the docstrings write them; a space multiplies.

        Example:
            >>> DIVERGENCES["kl"].formulas()["f(u)"]
            'u log(u)'
        """
        methods = {
            "f(u)": self._f,
            "f*(t)": self._conjugate,
            "g(v)": self.activation,
            "f*(g(v))": self.of_fake,
            "weight": self.weight,
        }
        return {heading: (method.__doc__ or "").strip("`.") for heading, method in methods.items()}

    @abstractmethod
    def _f(self, u: Tensor) -> Tensor: ...

    @abstractmethod
    def _conjugate(self, t: Tensor) -> Tensor: ...


@final
class TotalVariation(FDivergence):
    """Half the integral of abs(p - q). Its conjugate is linear, so its penalty is 0."""

    key = "total-variation"
    name = "total variation"
    domain = (-0.5, 0.5)
    at_one = 0.0
    everywhere = True

    def _f(self, u: Tensor) -> Tensor:
        """``abs(u - 1)/2``."""
        return (u - 1).abs() / 2

    def _conjugate(self, t: Tensor) -> Tensor:
        """``t``."""
        return t

    def activation(self, v: Tensor) -> Tensor:
        """``tanh(v)/2``."""
        return torch.tanh(v) / 2

    def of_fake(self, v: Tensor) -> Tensor:
        """``tanh(v)/2``."""
        return torch.tanh(v) / 2

    def weight(self, v: Tensor) -> Tensor:
        """``0``."""
        return torch.zeros_like(v)


@final
class KullbackLeibler(FDivergence):
    """The mean of log(p/q) over P."""

    key = "kl"
    name = "Kullback-Leibler"
    domain = (-math.inf, math.inf)
    at_one = 1.0
    neutral = 1.0

    def _f(self, u: Tensor) -> Tensor:
        """``u log(u)``."""
        return torch.xlogy(u, u)

    def _conjugate(self, t: Tensor) -> Tensor:
        """``e^(t - 1)``."""
        return torch.exp(t - 1)

    def activation(self, v: Tensor) -> Tensor:
        """``v``."""
        return v

    def of_fake(self, v: Tensor) -> Tensor:
        """``e^(v - 1)``."""
        return torch.exp(v - 1)

    def weight(self, v: Tensor) -> Tensor:
        """``e^(v - 1)``."""
        return torch.exp(v - 1)


@final
class ReverseKullbackLeibler(FDivergence):
    """The mean of log(q/p) over Q."""

    key = "reverse-kl"
    name = "reverse Kullback-Leibler"
    domain = (-math.inf, 0.0)
    at_one = -1.0

    def _f(self, u: Tensor) -> Tensor:
        """``-log(u)``."""
        return -torch.log(u)

    def _conjugate(self, t: Tensor) -> Tensor:
        """``-1 - log(-t)``."""
        return -1 - torch.log(-t)

    def activation(self, v: Tensor) -> Tensor:
        """``-e^(-v)``."""
        return -torch.exp(-v)

    def of_fake(self, v: Tensor) -> Tensor:
        """``v - 1``."""
        return v - 1

    def weight(self, v: Tensor) -> Tensor:
        """``1``."""
        return torch.ones_like(v)


@final
class Pearson(FDivergence):
    """The integral of (p - q)^2 / q, with f extended to u < 0.

    Over u >= 0 alone, the conjugate would be -1 below t = -2. Extended as here, f*(g(v)) falls where v rises
    to -2: it is the one composite that does not rise everywhere.
    """

    key = "pearson"
    name = "Pearson chi-squared"
    domain = (-math.inf, math.inf)
    at_one = 0.0
    everywhere = True

    def _f(self, u: Tensor) -> Tensor:
        """``(u - 1)^2``."""
        return (u - 1).square()

    def _conjugate(self, t: Tensor) -> Tensor:
        """``t^2/4 + t``."""
        return t.square() / 4 + t

    def activation(self, v: Tensor) -> Tensor:
        """``v``."""
        return v

    def of_fake(self, v: Tensor) -> Tensor:
        """``v^2/4 + v``."""
        return v.square() / 4 + v

    def weight(self, v: Tensor) -> Tensor:
        """``1/2``."""
        return torch.full_like(v, 0.5)


@final
class Neyman(FDivergence):
    """The integral of (p - q)^2 / p."""

    key = "neyman"
    name = "Neyman chi-squared"
    domain = (-math.inf, 1.0)
    at_one = 0.0

    def _f(self, u: Tensor) -> Tensor:
        """``(1 - u)^2/u``."""
        return (1 - u).square() / u

    def _conjugate(self, t: Tensor) -> Tensor:
        """``2 - 2 sqrt(1 - t)``."""
        return 2 - 2 * torch.sqrt(1 - t)

    def activation(self, v: Tensor) -> Tensor:
        """``1 - e^(-v)``."""
        return -torch.expm1(-v)

    def of_fake(self, v: Tensor) -> Tensor:
        """``2 - 2 e^(-v/2)``."""
        return -2 * torch.expm1(-v / 2)

    def weight(self, v: Tensor) -> Tensor:
        """``e^(-v/2)/2``."""
        return torch.exp(-v / 2) / 2


@final
class SquaredHellinger(FDivergence):
    """The integral of (sqrt p - sqrt q)^2."""

    key = "squared-hellinger"
    name = "squared Hellinger"
    domain = (-math.inf, 1.0)
    at_one = 0.0

    def _f(self, u: Tensor) -> Tensor:
        """``(sqrt(u) - 1)^2``."""
        return (torch.sqrt(u) - 1).square()

    def _conjugate(self, t: Tensor) -> Tensor:
        """``t/(1 - t)``."""
        return t / (1 - t)

    def activation(self, v: Tensor) -> Tensor:
        """``1 - e^(-v)``."""
        return -torch.expm1(-v)

    def of_fake(self, v: Tensor) -> Tensor:
        """``e^v - 1``."""
        return torch.expm1(v)

    def weight(self, v: Tensor) -> Tensor:
        """``2 e^v``."""
        return 2 * torch.exp(v)


@final
class JensenShannon(FDivergence):
    """Twice the Jensen-Shannon divergence: that of P, and that of Q, from their mean."""

    key = "js"
    name = "Jensen-Shannon"
    domain = (-math.inf, LOG_2)
    at_one = 0.0

    def _f(self, u: Tensor) -> Tensor:
        """``u log(u) - (u + 1) log((u + 1)/2)``."""
        return torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2)

    def _conjugate(self, t: Tensor) -> Tensor:
        """``-log(2 - e^t)``."""
        return -torch.log1p(-torch.expm1(t))

    def activation(self, v: Tensor) -> Tensor:
        """``log(2) - softplus(-v)``."""
        return LOG_2 + logsigmoid(v)

    def of_fake(self, v: Tensor) -> Tensor:
        """``softplus(v) - log(2)``."""
        return -logsigmoid(-v) - LOG_2

    def weight(self, v: Tensor) -> Tensor:
        """``sigmoid(v)``."""
        return torch.sigmoid(v)


@final
class Adversarial(FDivergence):
    """The divergence of the first GAN: that of Jensen and Shannon less log 4."""

    key = "gan"
    name = "GAN"
    domain = (-math.inf, 0.0)
    at_one = -LOG_2

    def _f(self, u: Tensor) -> Tensor:
        """``u log(u) - (u + 1) log(u + 1)``."""
        return torch.xlogy(u, u) - (u + 1) * torch.log1p(u)

    def _conjugate(self, t: Tensor) -> Tensor:
        """``-log(1 - e^t)``."""
        return -torch.log1p(-torch.exp(t))

    def activation(self, v: Tensor) -> Tensor:
        """``-softplus(-v)``."""
        return logsigmoid(v)

    def of_fake(self, v: Tensor) -> Tensor:
        """``softplus(v)``."""
        return -logsigmoid(-v)

    def weight(self, v: Tensor) -> Tensor:
        """``sigmoid(v)``."""
        return torch.sigmoid(v)


_ALL: Final[tuple[FDivergence, ...]] = (
    TotalVariation(),
    KullbackLeibler(),
    ReverseKullbackLeibler(),
    Pearson(),
    Neyman(),
    SquaredHellinger(),
    JensenShannon(),
    Adversarial(),
)
DIVERGENCES: Final[Mapping[str, FDivergence]] = MappingProxyType({one.key: one for one in _ALL})
"""Every divergence by its key."""


def variational_objective(divergence: FDivergence, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r"""Estimate a divergence from below, which the discriminator maximises and a minimax generator minimises.

    .. math:: E_P[g(v)] - E_Q[f^*(g(v))]

    Args:
        divergence: The divergence.
        real_logits: Logits v of real images, of any shape.
        fake_logits: Logits of generated images.

    Returns:
        A scalar, at most the divergence in the mean over images.

    Example:
        >>> neither = torch.zeros(4)
        >>> variational_objective(DIVERGENCES["js"], neither, neither)
        tensor(0.)
    """
    return divergence.of_real(real_logits).mean() - divergence.of_fake(fake_logits).mean()
