"""How many dimensions a generator has left at every layer: the rank of each layer's Jacobian.

A layer cannot give back a dimension that the layers before it lost. This holds along a chain, such as DCGAN's
stages or a mapping network; it does not hold from one layer of StyleGAN's synthesis to the next, for w, and
noise, enter every one of them.
"""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.geometry.layer_tangents import (
    MOST_INPUTS,
    LayerTangents,
    layer_tangents,
)
from riemann_noise_pytorch.geometry.layers import LayerShape, called_layers
from riemann_noise_pytorch.geometry.rank import RankReport, rank_report
from riemann_noise_pytorch.geometry.sketch import least_rows
from riemann_noise_pytorch.geometry.spectrum import Columns, Spectrum
from riemann_noise_pytorch.geometry.still import StillNetwork, still
from riemann_noise_pytorch.models.latent_space import Labels
from riemann_noise_pytorch.noise.control import Layers
from riemann_noise_pytorch.noise.pairs import counted_normal
from riemann_noise_pytorch.noise.precision import Network
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.statistics.sampling import Progress

FEW_INPUTS = 512
"""Jacobians of so many columns at most are reduced in blocks so small that a second thread only waits."""


@dataclass(frozen=True)
class LayerRank:
    """The ranks of one layer's Jacobian, one for each latent.

    Attributes:
        name: Of the layer; ``image`` for the generator's result.
        shape: Of its result for one sample.
        reports: The rank at each latent, with tolerance, margins and spectrum.
    """

    name: str
    shape: tuple[int, ...]
    reports: tuple[RankReport, ...]

    @property
    def rank(self) -> int:
        """The median over the latents, the lower one of two."""
        return statistics.median_low(report.rank for report in self.reports)

    @property
    def lowest(self) -> int:
        """The lowest rank of all latents."""
        return min(report.rank for report in self.reports)

    @property
    def highest(self) -> int:
        """The highest rank of all latents."""
        return max(report.rank for report in self.reports)

    @property
    def ambiguous(self) -> bool:
        """Whether the rank at any latent is."""
        return any(report.ambiguous for report in self.reports)

    @property
    def stable_rank(self) -> float:
        """The mean over the latents."""
        return statistics.fmean(report.stable_rank for report in self.reports)

    @property
    def effective_rank(self) -> float:
        """The mean over the latents."""
        return statistics.fmean(report.effective_rank for report in self.reports)

    @property
    def norm(self) -> float:
        """The largest singular value at any latent."""
        return max(float(report.spectrum.values[0]) for report in self.reports)


@dataclass(frozen=True)
class RankProfile:
    """The ranks of all layers of a generator.

    Attributes:
        layers: In the order in which they finish, the image last.
        z_dim: Size of the latent.
        inputs: Number of columns of the Jacobians: ``z_dim``, and more where noise counts.
        num_latents: How many latents were looked at.
        mode: How derivatives were taken: ``forward``, ``double reverse`` or ``reverse``.
        reason: Why in this way.
        remark: What else must be known: the precision where it is not float64; and that ranks are at least
            what they are said to be, where not every value of noise was followed.
        tolerance: How the tolerance was set, in words.
        sketched: Whether the spectrum of any layer comes from a sketch.
    """

    layers: tuple[LayerRank, ...]
    z_dim: int
    inputs: int
    num_latents: int
    mode: str
    reason: str
    remark: str
    tolerance: str
    sketched: bool


def rank_profile(
    generator: Network,
    z_dim: int | None = None,
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    dtype: torch.dtype | None = torch.float64,
    num_latents: int = 4,
    layers: Layers = "*",
    joint: bool | Layers = False,
    tolerance: float | None = None,
    memory_mib: float = 1024,
    seed: int = 0,
    progress: Progress | None = None,
) -> RankProfile:
    r"""Measure the rank of the Jacobian of every layer of a generator.

    .. math:: rank(J F^s) \le rank(J F^t) \quad \text{for } s \ge t, \qquad F^k = f_k \circ \dots \circ f_1

    so in a chain of maps the rank never grows with depth, and what the image has is what the narrowest layer
    left.

    Paper: Lemma 2 (Section 3.2).

    Args:
        generator: From latents (N, z_dim), and labels if there are any, to images (N, C, H, W).
        z_dim: Size of the latent; the generator's own by default.
        module: Where its layers are, for a callable that is no module itself. A function without one has the
            image alone.
        labels: Classes by index; uniform ones by default, where the generator has ``classes``.
        dtype: Precision of the copy that is measured, as of
            :func:`~riemann_noise_pytorch.geometry.still.still`.
        num_latents: How many latents are looked at, 1 or more.
        layers: Names or patterns of the layers that are wanted.
        joint: Whether the noise of this package's layers counts as an input beside the latent; or names or
            patterns of those whose noise does.
        tolerance: Relative to the largest singular value; by default what rounding can make, layer by layer.
        memory_mib: Memory for the Jacobians of one latent, and again for a chunk of their columns. Jacobians
            that do not fit are sketched.
        seed: Seed of latents, noise and classes.
        progress: Called as ``progress(done, total)`` with the columns of all latents.

    Raises:
        InputError: Settings out of range, layers that are not there, too little memory, or a generator that
            cannot be differentiated.
        NonFiniteError: A layer or its derivative is not finite.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 5), nn.Linear(5, 9))
        >>> profile = rank_profile(net, 8)
        >>> [(layer.name, layer.rank) for layer in profile.layers]
        [('0', 8), ('1', 5), ('image', 5)]
    """
    if not isinstance(num_latents, int) or num_latents < 1:
        raise InputError(f"the number of latents is {num_latents}; give a whole number, 1 or more")
    noise = ("*" if joint else None) if isinstance(joint, bool) else joint
    ranks: list[dict[LayerShape, RankReport]] = []
    with still(generator, z_dim, module=module, labels=labels, dtype=dtype, seed=seed) as net:
        for index in range(num_latents):
            z = counted_normal(derive(seed, "rank latents"), index, (1, net.z_dim))[0]
            tangents = _tangents(net, z.to(net.device, net.dtype), index, layers, noise, memory_mib)
            _check(tangents, net.dtype, tolerance)
            told = None if progress is None else _told(progress, tangents.inputs, index, num_latents)
            ranks.append(_ranks(net, tangents, tolerance, memory_mib, told))
            if ranks[0].keys() != ranks[-1].keys():
                raise InputError(
                    "the generator calls other layers for other latents; choose layers= that it always calls"
                )
    remarks = [net.remark, _at_least(tangents)]
    return RankProfile(
        layers=tuple(
            LayerRank(layer.name, layer.shape, tuple(each[layer] for each in ranks)) for layer in ranks[0]
        ),
        z_dim=net.z_dim,
        inputs=tangents.inputs,
        num_latents=num_latents,
        mode=tangents.mode,
        reason=tangents.reason,
        remark="; ".join(remark for remark in remarks if remark),
        tolerance=_told_tolerance(tolerance, net.dtype),
        sketched=any(report.spectrum.error != 0 for each in ranks for report in each.values()),
    )


def _ranks(
    net: StillNetwork,
    tangents: LayerTangents,
    tolerance: float | None,
    memory_mib: float,
    progress: Callable[[int], object] | None,
) -> dict[LayerShape, RankReport]:
    """The rank of each layer at one latent; ``progress`` is told how many columns there are."""
    collectors = _collectors(net, tangents, memory_mib)
    done = 0
    for first, chunk in tangents.chunks():
        for name, rows in chunk.items():
            collectors[name].add(first, rows)
            done += len(rows)
        if progress is not None:
            progress(done // len(collectors))
    spectra = _spectra([collectors.pop(layer.name) for layer in tangents.layers], net.device, tangents.inputs)
    return {
        layer: rank_report(spectrum, tolerance=tolerance)
        for layer, spectrum in zip(tangents.layers, spectra, strict=True)
    }


def _spectra(collectors: Sequence[Columns], device: torch.device, inputs: int) -> list[Spectrum]:
    """The singular values of all layers; on the CPU of many layers at once.

    A layer has one thread then: LAPACK shares out blocks as small as these at a loss, and to another rounding
    for every number of threads.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or inputs > FEW_INPUTS:
        return [columns.spectrum() for columns in collectors]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            by_size = sorted(collectors, key=lambda columns: -columns.size)  # so that no thread ends alone
            begun = {columns: pool.submit(columns.spectrum) for columns in by_size}
            return [begun[columns].result() for columns in collectors]
    finally:
        torch.set_num_threads(threads)  # which a worker sets for all threads that start later, too


def _tangents(
    net: StillNetwork, z: Tensor, index: int, layers: Layers, noise: Layers | None, memory_mib: float
) -> LayerTangents:
    """The tangents of all inputs, or of as many as the memory allows to collect."""
    most = MOST_INPUTS
    if noise is not None:
        sizes = [call.shape.size for call in called_layers(net.at(index), z, net.module, layers)]
        budget = memory_mib * 2**20 / net.dtype.itemsize
        most = max((n for n in range(1, MOST_INPUTS + 1) if _least_values(sizes, n) <= budget), default=1)
    return layer_tangents(net, z, index, layers=layers, joint=noise, memory_mib=memory_mib, most_inputs=most)


def _least_values(sizes: Sequence[int], n: int) -> int:
    """How many numbers must be kept for the spectra of layers with n columns."""
    return sum(min(size, least_rows(n)) * n for size in sizes)


def _collectors(net: StillNetwork, tangents: LayerTangents, memory_mib: float) -> dict[str, Columns]:
    """A collector for each layer: small Jacobians are kept whole, large ones share what is left."""
    n, row = tangents.inputs, tangents.inputs * net.dtype.itemsize
    least = {layer.name: min(layer.size, least_rows(n)) * row for layer in tangents.layers}
    spare = int(memory_mib * 2**20) - sum(least.values())
    if spare < 0:
        least_mib = sum(least.values()) / 2**20
        raise InputError(
            f"the singular values of {len(least)} layers for {n} inputs need {least_mib:.3g} MiB, not "
            f"{memory_mib:g}; give more memory (--memory-mib, in Python memory_mib=), or choose fewer layers"
        )
    collectors: dict[str, Columns] = {}
    by_size = sorted(tangents.layers, key=lambda layer: layer.size)
    for left, layer in zip(range(len(by_size), 0, -1), by_size, strict=True):
        more = min(layer.size * row - least[layer.name], spare // left)
        spare -= more
        share = (least[layer.name] + more) / 2**20
        collectors[layer.name] = Columns(layer.size, n, dtype=net.dtype, device=net.device, memory_mib=share)
    return collectors


def _check(tangents: LayerTangents, dtype: torch.dtype, tolerance: float | None) -> None:
    """Refuse a tolerance now that could not be used at the end."""
    for layer in tangents.layers:
        shape = layer.size, tangents.inputs
        nothing = Spectrum(torch.zeros(min(shape), dtype=torch.float64), shape, dtype)
        rank_report(nothing, tolerance=tolerance)


def _told(progress: Progress, inputs: int, index: int, num_latents: int) -> Callable[[int], object]:
    return lambda done: progress(index * inputs + done, num_latents * inputs)


def _at_least(tangents: LayerTangents) -> str:
    followed, size = tangents.noise_directions, tangents.noise_size
    if followed >= size:
        return ""
    return f"ranks are at least these: {followed:,} random directions stand for {size:,} values of noise"


def _told_tolerance(tolerance: float | None, dtype: torch.dtype) -> str:
    if tolerance is not None:
        return f"{tolerance:g} of the largest singular value, as given"
    name = str(dtype).removeprefix("torch.")
    return f"max(m, n) roundings of {name} ({torch.finfo(dtype).eps:.2g}) of the largest singular value"
