r"""A lower bound of the Jensen-Shannon divergence between data and samples, by a classifier.

For any function D from samples to (0, 1),

.. math:: D_{JS}(P, Q) \ge \log 2 + \tfrac12 \bigl( E_P \log D + E_Q \log (1 - D) \bigr)

with equality for D = p / (p + q). The samples are halved, and each half is judged by a small network that has
seen the other half alone: it was trained on three quarters of that, and stopped by the last quarter, on which
its logits were also scaled (by 0, if it had learned nothing that holds there). So every sample is held out
once, and gives the two means and their spread. A better classifier raises the bound, a worse one lowers it;
none can lift it above the divergence, but for the luck of the samples, which the interval counts.

Give both sides the same rounding: images of 256 levels are told from unrounded ones by their levels alone.

References:
    Goodfellow et al., Generative adversarial nets, NeurIPS 2014, Section 4.1.
    Nowozin, Cseke and Tomioka, f-GAN, NeurIPS 2016 (the variational bound).
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.intervals import critical_t
from riemann_noise_pytorch.statistics.sampling import Progress

SMALLEST = 200
"""Samples of either kind: an eighth of them must still tell when to stop."""
HIDDEN = 64
CHANNELS, MOST_CHANNELS = 32, 256
SMALLEST_MAP = 4
EPOCHS = 40
PATIENCE = 4
"""Epochs without a lower loss on the quarter, after which training stops; half way the steps shorten."""
GAIN = 1e-4
"""Nats by which a loss must be lower to count as such."""
BATCHES = 50
"""Batches of an epoch, as far as a batch then has 64 to 2048 samples of either kind."""
LEARNING_RATE = 2e-3
TRAP_FLOOR = math.log(2) / 2
"""Half of the largest divergence: the second case of Theorem 1."""

Pair = tuple[Tensor, Tensor]
"""Samples of either kind."""


@dataclass(frozen=True)
class JSBound:
    """A lower bound of the Jensen-Shannon divergence, in nats.

    Attributes:
        value: The bound: the lower end of the interval, or 0 if that is negative.
        estimate: What the classifier shows on the held-out samples, at most log 2.
        low: Lower end of the interval of that, counted as if one held-out sample more of either kind had been
            mistaken as badly as the classifier can.
        high: Upper end: of what this classifier shows, not of the divergence.
        level: Coverage of the interval, in (0, 1).
        accuracy: Share of the held-out samples that it tells right.
        count: Samples of either kind, each of them held out once.
    """

    value: float
    estimate: float
    low: float
    high: float
    level: float
    accuracy: float
    count: int

    @property
    def floor(self) -> float:
        """log(2)/2, which the divergence of a trapped generator reaches where its Jacobian is bounded."""
        return TRAP_FLOOR

    @property
    def above_floor(self) -> bool:
        """Whether the bound shows that it is reached."""
        return self.value >= TRAP_FLOOR


def js_lower_bound(
    real: Tensor,
    fake: Tensor,
    *,
    seed: int = 0,
    level: float = 0.95,
    epochs: int = EPOCHS,
    progress: Progress | None = None,
) -> JSBound:
    r"""Bound the Jensen-Shannon divergence of two distributions from below, from samples of each.

    .. math:: D_{JS}(P_g, P_r) \ge \frac{\log 2}{2}

    is what a generator of too low a rank and of a bounded Jacobian must have.

    Paper: Eq. 3 (Section 3.3).

    Args:
        real: Samples of one, (N, d) or images (N, C, H, W), floats. They should be no copies of one another
            and, for trained generators, not those of the training.
        fake: Samples of the other, of the same shape but for N. Of the larger set, only as many are used as
            the smaller has, at least 200.
        seed: Seed of the parts, the network and its training.
        level: Coverage of the interval, in (0, 1).
        epochs: Most passes of a network through its samples, 1 or more.
        progress: Called as ``progress(done, total)`` with epochs of both networks, which may end early.

    Returns:
        The bound. With equal seeds it is the same on the same machine.

    Raises:
        InputError: Samples that do not fit, or too few; no epochs, or a level outside (0, 1).
        NonFiniteError: A sample is NaN or infinite; the message names the first.

    Example:
        >>> stream = torch.Generator().manual_seed(0)
        >>> real, fake = torch.randn(2, 400, 1, generator=stream)
        >>> bound = js_lower_bound(real, fake + 9, epochs=9)
        >>> bound.above_floor, bound.value < math.log(2)
        (True, True)
    """
    if epochs < 1:
        raise InputError(f"{epochs} epochs teach a classifier nothing; give 1 or more")
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is between 0 and 1, not {level:g}; 0.95 is usual")
    halves = _halves(real.detach(), fake.detach(), seed)
    real_logits: list[Tensor] = []
    fake_logits: list[Tensor] = []
    for fold, (seen, held_out) in enumerate((halves, halves[::-1])):
        with torch.random.fork_rng(devices=[]):
            network = _network(real.shape[1:], derive(seed, "divergence", "network")).to(real.device)
        steps = None if progress is None else partial(_told, progress, fold * epochs, 2 * epochs)
        with torch.enable_grad():
            scale = _train(network, seen, epochs, derive(seed, "divergence", "batches", fold), steps)
        with torch.no_grad():
            for logits, samples in zip((real_logits, fake_logits), held_out, strict=True):
                logits.append(scale * _logits(network, samples))
    if progress is not None:
        progress(2 * epochs, 2 * epochs)
    return _bound(torch.cat(real_logits), torch.cat(fake_logits), level)


def _halves(real: Tensor, fake: Tensor, seed: int) -> tuple[Pair, Pair]:
    """Two halves of both kinds of samples, as many of either, at mean 0 and deviation 1.

    The means are those of all samples: they tell which is real no more than a unit of length does.
    """
    count = min(len(real), len(fake))
    if real.shape[1:] != fake.shape[1:] or real.ndim not in (2, 4) or 0 in real.shape[1:]:
        raise InputError(
            f"samples must be rows (N, d) or images (N, C, H, W) of one shape, not {tuple(real.shape)} and "
            f"{tuple(fake.shape)}"
        )
    if count < SMALLEST:
        raise InputError(f"{count} samples are too few for a bound; give {SMALLEST} or more of either kind")
    shuffled = []
    for name, samples in (("real", real), ("fake", fake)):
        if not samples.is_floating_point():
            raise InputError(f"{name} samples must be floats, not {samples.dtype}; turn images by to_float")
        bad = ~samples.flatten(1).isfinite().all(dim=1)
        if bad.any():
            raise NonFiniteError(f"{name} sample {int(bad.nonzero()[0])} is NaN or infinite; leave it out")
        stream = torch.Generator().manual_seed(derive(seed, "divergence", "parts", name))
        order = torch.randperm(len(samples), generator=stream)[: count - count % 2].to(samples.device)
        shuffled.append(samples[order].to(torch.float32))
    every, dims = torch.cat(shuffled), [0] if real.ndim == 2 else [0, 2, 3]
    mean, deviation = every.mean(dims, keepdim=True), every.std(dims, keepdim=True)
    first, second = ((samples - mean) / deviation.clamp_min(1e-12) for samples in shuffled)
    half = count // 2
    return (first[:half], second[:half]), (first[half:], second[half:])


def _told(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


class _WithLine(nn.Module):
    """A network beside a linear map, for the logit of two Gaussians of one covariance is linear."""

    def __init__(self, network: nn.Module, inputs: int) -> None:
        super().__init__()
        self.network = network
        self.line = nn.Linear(inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x) + self.line(x.flatten(1))
        return logits[:, 0]


def _network(shape: torch.Size, seed: int) -> nn.Module:
    """A classifier of rows by two hidden layers, or of images by convolutions down to a map of 4 pixels."""
    layers: list[nn.Module] = []
    if len(shape) == 1:
        layers += [nn.Linear(shape[0], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
        features = HIDDEN
    else:
        channels, height, width = shape
        outputs = CHANNELS
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.SiLU()]
        while min(height, width) > SMALLEST_MAP:
            inputs, outputs = outputs, min(2 * outputs, MOST_CHANNELS)
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.SiLU()]
            height, width = (height + 1) // 2, (width + 1) // 2
        layers.append(nn.Flatten())
        features = outputs * height * width
    network = _WithLine(nn.Sequential(*layers, nn.Linear(features, 1)), math.prod(shape))
    stream = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        with torch.no_grad():
            if parameter.ndim == 1:
                parameter.zero_()
            else:
                nn.init.kaiming_uniform_(parameter, a=math.sqrt(5), generator=stream)
    return network


def _train(
    network: nn.Module, samples: Pair, epochs: int, seed: int, progress: Callable[[int], object] | None
) -> float:
    """Train until the loss on a last quarter falls no more; the best factor of the logits there.

    The network has the weights of the minimum of that loss.
    """
    cut = 3 * len(samples[0]) // 4
    (real, fake), last = (each[:cut] for each in samples), [each[cut:] for each in samples]
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    batch = min(2048, max(64, len(real) // BATCHES))
    stream = torch.Generator().manual_seed(seed)
    best, weights, waited = math.inf, copy.deepcopy(network.state_dict()), 0
    for epoch in range(epochs):
        orders = [torch.randperm(len(real), generator=stream).to(real.device) for _ in range(2)]
        for a, b in zip(*(torch.split(order, batch) for order in orders), strict=True):
            loss = _loss(network(real[a]), network(fake[b]))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            found = float(_loss(*(_logits(network, each) for each in last)))
        if progress is not None:
            progress(epoch + 1)
        waited = 0 if found < best - GAIN else waited + 1
        if found < best:
            best, weights = found, copy.deepcopy(network.state_dict())
        if waited == PATIENCE:
            break
        if waited == PATIENCE // 2:
            for group in optimiser.param_groups:
                group["lr"] /= 4
    network.load_state_dict(weights)
    with torch.no_grad():
        return _best_scale(*(_logits(network, each) for each in last))


def _logits(network: nn.Module, samples: Tensor) -> Tensor:
    return torch.cat([network(part) for part in torch.split(samples, 4096)]).double()


def _loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()) / 2


def _best_scale(real_logits: Tensor, fake_logits: Tensor) -> float:
    """The factor of the logits, the inverse temperature, of the lowest loss; 0 where they mislead."""
    scales = [0.0, *(10 ** (step / 40) for step in range(-60, 61))]
    return min(scales, key=lambda scale: float(_loss(scale * real_logits, scale * fake_logits)))


def _bound(real_logits: Tensor, fake_logits: Tensor, level: float) -> JSBound:
    count = len(real_logits)
    worst = -math.log(count + 2)  # the rule of succession: so few samples show no smaller share of mistakes
    logs = [functional.logsigmoid(x).clamp_min(worst) for x in (real_logits, -fake_logits)]
    estimate = math.log(2) + sum(float(values.mean()) for values in logs) / 2
    warned = [torch.cat([values, values.new_tensor([worst])]) for values in logs]
    cautious = math.log(2) + sum(float(values.mean()) for values in warned) / 2
    error = math.sqrt(sum(float(values.var()) for values in warned) / (count + 1)) / 2
    reach = critical_t(count, level) * error
    right = ((real_logits > 0).double().mean() + (fake_logits <= 0).double().mean()) / 2
    return JSBound(
        value=max(0.0, cautious - reach),
        estimate=estimate,
        low=cautious - reach,
        high=min(math.log(2), estimate + reach),
        level=level,
        accuracy=float(right),
        count=count,
    )
