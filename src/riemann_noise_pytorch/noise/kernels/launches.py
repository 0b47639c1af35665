r"""The steps of Riemannian noise as Triton kernels, for CUDA devices; every function may decline with None.

With N samples, C channels, P positions, and a map for a feature map (N, C, P) in its own dtype:

=====================  ========  ====================================================================
step                   launches  bytes moved through memory
=====================  ========  ====================================================================
identifier             1         1 map read, N P float32 written
geometry, injection    1         1 map read, 1 map written, planes (2 launches above 4096 positions)
sums over channels     1         2 maps read, planes (1 launch, 2 maps more for noise a channel)
gradient of mu         1         1 map read, 1 written; 1 more read, from cache in part, unless ``sum``
=====================  ========  ====================================================================

So a forward pass has 2 launches and moves 3 maps: at (32, 256, 64, 64), 403 MB in float32 and 201 MB in half
precision. A backward pass has 2 launches on maps and moves 4 maps (5, and for ``neg_max`` 6 where the cache
does not help: it counts ties first); the derivatives of the planes between them are autograd's, some 80
small launches on N P values. Noise with a plane a channel costs 1 map more forward, and 2 backward.

In the injection every program works out the geometry of its sample anew, from planes that stay in the level 2
cache (64 KB at 64 x 64), in place of a launch of its own or of a dozen small ones of torch. Programs are few
and long there, about three a multiprocessor, as many as its registers hold at once. The second pass over a
map begins with the samples that the first ended with, which may still be in the cache.

Triton comes with torch's CUDA builds and is nobody's dependency but theirs: this module and those
beside it are imported on a GPU only, by :mod:`~riemann_noise_pytorch.noise.kernels.choice`, which tries
them against torch's operations before use.
"""

import math

import torch
from torch import Tensor

from riemann_noise_pytorch.noise import switches
from riemann_noise_pytorch.noise.functional import Scalar
from riemann_noise_pytorch.noise.kernels.choice import DTYPES
from riemann_noise_pytorch.noise.kernels.maps import (
    dots_kernel,
    gradient_kernel,
    identify_kernel,
    inject_kernel,
)
from riemann_noise_pytorch.noise.kernels.planes import geometry_kernel
from riemann_noise_pytorch.noise.kernels.walks import (
    columns,
    is_last,
    power_of_two,
    programs,
    sizes,
    spans,
    step_and_last,
)
from riemann_noise_pytorch.noise.readings import Reading
from riemann_noise_pytorch.noise.switches import Identifier

FUSED_PLACES = 4096
"""Positions up to which an injection works out the geometry itself."""
MOST_PLACES = 2**16
"""Positions up to which one program works out the geometry of a sample."""
BLOCK = 4096
"""Positions of a plane that a program holds at a time."""
SETTINGS = {"num_warps": 8, "enable_fp_fusion": True}


def identified(identifier: Identifier, mu: Tensor) -> Tensor | None:
    """The semantic identifier (N, 1, ...) of features (N, C, ...), in float32."""
    last = is_last(mu)
    if last is None:
        return None
    N, C, P = sizes(mu)
    mu_tilde = _planes(mu)
    channels, places, parts = columns(N, C, P, last, programs(mu.get_device()))
    identify_kernel[(N * parts,)](
        mu, mu_tilde, C, P, parts, identifier, last, channels, places, **SETTINGS
    )  # fmt: skip
    return mu_tilde


def injected(
    reading: Reading, mu: Tensor, mu_tilde: Tensor, epsilon: Tensor | None, w: Scalar, *parameters: Tensor
) -> Tensor | None:
    """Eqs. 14-17: features (N, C, ...) with noise, from their identifier and the parameters."""
    if not _suit_geometry(mu, mu_tilde, parameters):
        return None
    if sizes(mu)[2] <= FUSED_PLACES:
        return _inject(mu, mu_tilde, epsilon, w, reading, *parameters)
    gain = gain_of(reading, mu_tilde, *parameters)
    return None if gain is None else shaped(mu, gain, epsilon, w)


def shaped(mu: Tensor, gain: Tensor, epsilon: Tensor | None, w: Scalar) -> Tensor | None:
    """Eq. 17 with gain = r sigma (N, 1, ...): gain (mu + w epsilon), of the dtype of mu."""
    if gain.dtype != torch.float32 or not gain.is_contiguous():
        return None
    return _inject(mu, gain, epsilon, w, None)


def gain_of(reading: Reading, mu_tilde: Tensor, *parameters: Tensor) -> Tensor | None:
    """Eqs. 14-16: r sigma (N, 1, ...) in float32, from an identifier like it; a program a sample."""
    if not _suit_geometry(mu_tilde, mu_tilde, parameters):
        return None
    N, _, P = sizes(mu_tilde)
    gain = torch.empty_like(mu_tilde)
    geometry_kernel[(N,)](
        mu_tilde, gain, *_four(parameters), P, *_geometry(reading, P),
        reading.settings.range, reading.settings.alpha_on, parameters[0].numel() > 1,
        min(power_of_two(P), BLOCK), **SETTINGS,
    )  # fmt: skip
    return gain


def channel_dots(a: Tensor, b: Tensor, with_total: bool = False) -> tuple[Tensor, Tensor | None] | None:
    """The sums over the channels of a b, and of a if wanted: (N, 1, ...) each, in float32."""
    layout_a, layout_b = step_and_last(a, a), step_and_last(b, a)
    if layout_a is None or layout_b is None:
        return None
    N, C, P = sizes(a)
    dot, total = _planes(a), _planes(a) if with_total else None
    channels, places, parts = columns(N, C, P, layout_a[1], programs(a.get_device()))
    dots_kernel[(N * parts,)](
        a, b, dot, total, C, P, layout_a[0], layout_b[0], parts,
        layout_a[1], layout_b[1], channels, places, **SETTINGS,
    )  # fmt: skip
    return dot, total


def feature_gradient(
    identifier: Identifier,
    upstream: Tensor,
    mu: Tensor,
    mu_tilde: Tensor,
    gain: Tensor,
    of_identifier: Tensor,
) -> Tensor | None:
    """The gradient of mu: gain times the upstream gradient, and what comes back through the identifier."""
    last, upstream_last = is_last(mu), is_last(upstream)
    planes = [plane.contiguous() for plane in (mu_tilde, gain, of_identifier)]
    if last is None or upstream_last is None or upstream.dtype != mu.dtype:
        return None
    if any(plane.dtype != torch.float32 for plane in planes):
        return None
    N, C, P = sizes(mu)
    gradient = torch.empty_like(mu)
    channels, places, parts = columns(N, C, P, last, programs(mu.get_device()))
    gradient_kernel[(N * parts,)](
        upstream, mu, *planes, gradient, C, P, parts,
        identifier, upstream_last, last, channels, places, **SETTINGS,
    )  # fmt: skip
    return gradient


def _inject(
    mu: Tensor, plane: Tensor, epsilon: Tensor | None, w: Scalar, reading: Reading | None, *parameters: Tensor
) -> Tensor | None:
    """Inject by the gain or, with a reading, by the identifier that the gain follows."""
    last, noise = is_last(mu), _noise(epsilon, w, mu)
    if last is None or noise is None:
        return None
    N, C, P = sizes(mu)
    settings = None if reading is None else reading.settings
    wanted = programs(mu.get_device())
    wanted = 4 * wanted if settings is None else 3 * wanted // 4
    channels, places, *walk = spans(N, C, P, last, mu.element_size(), wanted)
    output = torch.empty_like(mu)
    kind, step, epsilon_last, strength = noise
    inject_kernel[(N * walk[0] * walk[2],)](
        mu, output, plane, *_four(parameters), epsilon, strength, C, P, *_geometry(reading, P), step, *walk,
        settings is not None, settings and settings.range, settings and settings.alpha_on,
        bool(parameters) and parameters[0].numel() > 1, last, kind, epsilon_last,
        isinstance(strength, Tensor), channels, places, min(power_of_two(P), BLOCK), **SETTINGS,
    )  # fmt: skip
    return output


def _geometry(reading: Reading | None, places: int) -> tuple[float, float, float, float]:
    """Numbers that the geometry depends on: spread, size, gain of the maps, scale of the norm."""
    if reading is None:
        return 1.0, 1.0, 1.0, 1.0
    spread, size = switches.usual_spread(reading.settings.identifier, reading.channels)
    return spread, size, float(reading.map_gain), places**-0.5 if reading.settings.norm == "l2" else 1.0


def _four(parameters: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    return (*parameters, None, None, None, None)[:4]


def _suit_geometry(mu: Tensor, mu_tilde: Tensor, parameters: tuple[Tensor, ...]) -> bool:
    """Whether the geometry is a kernel's: float32 throughout, maps of the features' size or numbers."""
    A, b, *numbers = parameters
    device, size = mu.device, mu.shape[2:]
    for tensor in (mu_tilde, *parameters):
        if tensor.dtype != torch.float32 or tensor.device != device or not tensor.is_contiguous():
            return False
    for number in numbers:
        if number.numel() != 1:
            return False
    return A.shape == b.shape and A.shape in (size, torch.Size()) and math.prod(size) <= MOST_PLACES


def _noise(epsilon: Tensor | None, w: Scalar, mu: Tensor) -> tuple[str, int, bool, Scalar] | None:
    """What kind of noise it is, how far apart its samples are, whether channels come last, and w."""
    if epsilon is None:
        return "none", 0, False, 0.0
    layout = step_and_last(epsilon, mu)
    if layout is None:
        return None
    if not isinstance(w, Tensor):
        w = float(w)
    elif w.numel() != 1 or w.dtype not in DTYPES or w.device != mu.device:
        return None
    kind = "plane" if epsilon.shape[1] == 1 else "map"
    return kind, layout[0], layout[1] and kind == "map", w


def _planes(mu: Tensor) -> Tensor:
    return torch.empty((mu.shape[0], 1, *mu.shape[2:]), dtype=torch.float32, device=mu.device)
