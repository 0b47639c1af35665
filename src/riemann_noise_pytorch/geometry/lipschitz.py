r"""Noise makes a map smooth in expectation: how far noisy images of two points are apart on average.

For :math:`f: x \mapsto [\mu(x), \sigma(x)]` and :math:`g(x) = \mu(x) + \sigma(x)\,\varepsilon` Theorem 5 says
:math:`E\|g(x) - g(y)\|_2 \le L\,\|x - y\|_2 + o(1)`. What the o(1) is depends on whether both points see
the same noise, which the paper leaves open. By Jensen's inequality the mean is at most the root of the second
moment,

.. math::
    E\|g(x) - g(y)\|_2 \le \begin{cases}
    \sqrt{\|\mu(x) - \mu(y)\|^2 + \|\sigma(x) - \sigma(y)\|^2}
    \le L\,\|x - y\|_2 & \text{the same } \varepsilon\\
    \sqrt{\|\mu(x) - \mu(y)\|^2 + \|\sigma(x)\|^2 + \|\sigma(y)\|^2}
    \le L\,\|x - y\|_2 + \sqrt{\|\sigma(x)\|^2 + \|\sigma(y)\|^2} & \text{independent } \varepsilon
    \end{cases}

where L is a Lipschitz constant of f and norms of :math:`\sigma` run over all values that the noise reaches.
The remainder is zero for the same noise, and of first order in the strength of independent noise. It grows
with the number of features, so the paper's condition :math:`\|\sigma\|_\infty = o(1)` is for features of a
fixed size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, check_choice
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.seeds import derive

MeanAndScale = Callable[[Tensor], tuple[Tensor, Tensor]]
"""f: from points (N, ...) to mu (N, ...) and sigma, of equal shape or with axes of size 1."""
NoiseShape = Callable[[Tensor], tuple[int, ...]]
Noise = Literal["same", "independent"]

STANDARD_ERRORS = 4.0
"""Standard errors by which a mean over draws may exceed a bound: 3 in 100,000 do by chance."""


@dataclass(frozen=True)
class ExpectedDistances:
    """How far noisy images of pairs of points are apart on average, and what bounds it.

    Attributes:
        distances: Of the points, (P,), float64.
        expected: Mean distance of the images over draws of noise, (P,).
        errors: Standard errors of these means, (P,).
        bounds: Roots of the second moments, (P,); the means cannot exceed them.
        constant: L.
        remainder: The o(1): 0 for the same noise, else the largest root of both summed squares of sigma.
        noise: Whether both points of a pair have the same noise, or independent noise.
    """

    distances: Tensor
    expected: Tensor
    errors: Tensor
    bounds: Tensor
    constant: float
    remainder: float
    noise: Noise

    @property
    def lines(self) -> Tensor:
        """The theorem's right side, L times the distance plus the remainder, (P,)."""
        return self.constant * self.distances + self.remainder

    @property
    def holds(self) -> bool:
        """Whether no mean exceeds the theorem's right side by more than chance allows."""
        return bool((self.expected <= self.lines * (1 + 1e-9) + STANDARD_ERRORS * self.errors).all())


def expected_distances(
    f: MeanAndScale,
    x: Tensor,
    y: Tensor,
    *,
    constant: float | None = None,
    noise: Noise = "independent",
    noise_shape: NoiseShape | None = None,
    draws: int = 512,
    seed: int = 0,
) -> ExpectedDistances:
    r"""Measure both sides of the inequality of smoothness in expectation.

    .. math:: E\,\|g(x) - g(y)\|_2 \le L\,\|x - y\|_2 + o(1), \qquad g = \mu + \sigma\,\varepsilon

    Paper: Theorem 5 (Section 4.1).

    Args:
        f: The map to mu and sigma; of a layer of this package, from :func:`mean_and_scale`.
        x: Points, (P, ...).
        y: The others of each pair, of the same shape; different from x.
        constant: L, a Lipschitz constant of f. None: the largest quotient over these pairs, below which no
            constant of f can be.
        noise: ``same`` or ``independent`` noise for the two points of a pair.
        noise_shape: Given x, the shape of epsilon, which may be one plane for many channels; for a layer of
            this package its ``noise_shape``. None: a value of its own for each value of mu.
        draws: Draws of noise a pair, at least 2.
        seed: Seed of the noise.

    Returns:
        Distances, means and bounds, pair by pair.

    Raises:
        InputError: Points do not fit one another or coincide, sigma does not fit mu, or settings are out of
            range.
        NonFiniteError: f gives NaN or infinity.

    Example:
        >>> x = torch.zeros(3, 4, dtype=torch.float64)
        >>> y = x + torch.tensor([[0.1], [1.0], [10.0]])
        >>> found = expected_distances(lambda x: (2 * x, 0.01 * torch.ones_like(x)), x, y)
        >>> round(found.constant, 6), round(found.remainder, 4), found.holds
        (2.0, 0.0283, True)
    """
    check_choice("noise", noise, get_args(Noise))
    distances = _checked_distances(x, y, draws, constant)
    mu_x, sigma_x = _checked(f, x)
    mu_y, sigma_y = _checked(f, y)
    moved = (mu_x - mu_y).flatten(1).norm(dim=1).double()
    bent = (sigma_x - sigma_y).flatten(1).norm(dim=1).double()
    spread = torch.hypot(*(sigma.flatten(1).norm(dim=1).double() for sigma in (sigma_x, sigma_y)))
    one = tuple(mu_x.shape if noise_shape is None else noise_shape(x))[1:]
    means, errors = _means(mu_x - mu_y, sigma_x, sigma_y, noise, (draws, *one), seed)
    quotient = float((torch.hypot(moved, bent) / distances).amax())
    return ExpectedDistances(
        distances=distances,
        expected=means,
        errors=errors,
        bounds=torch.hypot(moved, bent if noise == "same" else spread),
        constant=quotient if constant is None else constant,
        remainder=0.0 if noise == "same" else float(spread.amax()),
        noise=noise,
    )


def mean_and_scale(layer: NoiseLayer) -> MeanAndScale:
    r"""Take a noise layer apart into mu and sigma, for its output is :math:`\mu(x) + \sigma(x)\,\varepsilon`.

    Riemannian noise shapes its features too, so its mu is not x but :math:`r\,\sigma * x`.

    Args:
        layer: A noise layer that is affine in its noise, as all of this package are.

    Returns:
        The map from features (N, C, ...) to mu and sigma, of the same shape both.

    Example:
        >>> from riemann_noise_pytorch.noise.layers import EuclideanNoise
        >>> mu, sigma = mean_and_scale(EuclideanNoise(strength=0.5))(torch.zeros(1, 2, 3))
        >>> mu.unique(), sigma.shape, sigma.unique().detach()
        (tensor([0.]), torch.Size([1, 2, 3]), tensor([0.5000]))
    """

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        layer.check(x)
        mu = layer.inject(x, None)
        one = torch.ones(layer.noise_shape(x), dtype=x.dtype, device=x.device)
        return mu, layer.inject(x, one) - mu

    return f


def _checked_distances(x: Tensor, y: Tensor, draws: int, constant: float | None) -> Tensor:
    if draws < 2:
        raise InputError(f"{draws} draws give no mean with an error; give 2 or more")
    if constant is not None and not constant >= 0:
        raise InputError(f"a Lipschitz constant cannot be {constant:g}; give 0 or more")
    if x.shape != y.shape or x.ndim < 2:
        raise InputError(
            f"points must be two tensors (P, ...) of one shape, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    distances: Tensor = (x - y).flatten(1).norm(dim=1).double()
    if not bool((distances > 0).all()):
        raise InputError("a pair of points coincides, so it tells nothing of a slope; move one of them")
    return distances


def _checked(f: MeanAndScale, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        mu, sigma = f(x)
    axes = zip(sigma.shape[1:], mu.shape[1:], strict=False)
    fits = sigma.ndim == mu.ndim and all(one in (1, whole) for one, whole in axes)
    if not fits or not len(mu) == len(sigma) == len(x):
        raise InputError(
            f"f gives mu {tuple(mu.shape)} and sigma {tuple(sigma.shape)} for {len(x)} points; return one "
            "row each for a point, sigma of the shape of mu or with axes of size 1"
        )
    if not bool(mu.isfinite().all()) or not bool(sigma.isfinite().all()):
        raise NonFiniteError("f gives NaN or infinity; choose other points, or check the weights")
    return mu, sigma.expand_as(mu)


def _means(
    apart: Tensor, sigma_x: Tensor, sigma_y: Tensor, noise: Noise, shape: tuple[int, ...], seed: int
) -> tuple[Tensor, Tensor]:
    """Mean distance and its standard error over draws, pair by pair."""
    means, errors = [], []
    for pair, (away, one, other) in enumerate(zip(apart, sigma_x, sigma_y, strict=True)):
        first = counted_normal(derive(seed, "noise", "x", pair), 0, shape).to(one)
        second = first
        if noise == "independent":
            second = counted_normal(derive(seed, "noise", "y", pair), 0, shape).to(one)
        distances = (away + one * first - other * second).flatten(1).norm(dim=1).double()
        means.append(distances.mean())
        errors.append(distances.std() / shape[0] ** 0.5)
    return torch.stack(means).cpu(), torch.stack(errors).cpu()
