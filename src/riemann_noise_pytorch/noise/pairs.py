"""Finite differences of a network with noise: two calls that differ in their input alone.

A difference quotient divides by a step of 1e-4 or its square, so whatever else differs between the two calls
is multiplied by 1e4 or 1e8: other noise, statistics of the batch, TF32 or half precision. Here both calls see
the noise of the same samples, a network in eval mode, and arithmetic in the network's own float32 or float64;
half precision inside of it is refused (:mod:`~riemann_noise_pytorch.noise.precision`).
"""

import contextlib
from collections.abc import Iterator
from operator import attrgetter
from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError, RiemannNoiseError
from riemann_noise_pytorch.noise.control import frozen
from riemann_noise_pytorch.noise.failures import is_out_of_memory, place_of_failure
from riemann_noise_pytorch.noise.foreign import generators_of, seeded
from riemann_noise_pytorch.noise.precision import EXACT, OWN_PRECISION, HalfPrecision, Network
from riemann_noise_pytorch.noise.sources import Frozen
from riemann_noise_pytorch.seeds import derive

FLOAT32_OPERATIONS = (
    *("cuda.matmul", "cudnn.conv", "cudnn.rnn"),
    *("mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn"),
)
REPEATED_SAMPLES = 8
REPEAT_TOLERANCE = 1e-5
"""Share of the output's norm by which a repeated call may differ: roundings, but no noise."""


@final
class Pairs:
    """Calls a network at two points under the same noise; made by :func:`shared_noise`.

    Attributes:
        device: Where the network lives; the CPU for a callable without parameters.
        dtype: The network's dtype, float32 or float64.
    """

    def __init__(self, network: Network, module: nn.Module | None, seed: int) -> None:
        self.device, self.dtype = _home(module)
        self._network = network
        self._module = module
        self._seed = seed
        self._generators = generators_of(module)
        self._tried = False

    def __call__(
        self, first: Tensor, second: Tensor, first_sample: int, *others: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Evaluate a batch of pairs.

        Args:
            first: One member of every pair, (N, ...).
            second: The other, of the same shape.
            first_sample: Index of the first pair among all pairs; the noise depends on it.
            *others: What else the network takes, such as labels (N,): the same in both calls.

        Returns:
            The two outputs, (N, ...) each.

        Raises:
            InputError: The network cannot take the points, its output is not float32 or float64 with one row
                a point, it computes in half precision inside, or two calls at the same point differ.
        """
        if not self._tried:
            self._try(first_sample, *(tensor[:REPEATED_SAMPLES] for tensor in (first, *others)))
        with self._noise(first_sample):
            start, end = (
                self._call(self._network, points, first_sample, *others) for points in (first, second)
            )
        return start, end

    def one(
        self, points: Tensor, first_sample: int, *others: Tensor, network: Network | None = None
    ) -> Tensor:
        """Evaluate one batch (N, ...); ``network`` may name another part of the same module."""
        with self._noise(first_sample):
            return self._call(network or self._network, points, first_sample, *others)

    def _call(self, network: Network, points: Tensor, first_sample: int, *others: Tensor) -> Tensor:
        seed = derive(self._seed, "foreign noise", first_sample)
        with seeded(seed, self._generators):
            try:
                return network(points, *others)
            except Exception as error:  # a foreign network fails in any way
                if isinstance(error, RiemannNoiseError) or is_out_of_memory(error) or self._is_own_fault:
                    raise
                raise InputError(self._what_failed(points, first_sample, error)) from error

    @property
    def _is_own_fault(self) -> bool:
        """Whether a failure would be of this package, whose networks take what they once took."""
        package = __name__.partition(".")[0]
        return self._tried and type(self._module).__module__.partition(".")[0] == package

    def _what_failed(self, points: Tensor, first_sample: int, error: Exception) -> str:
        place = place_of_failure(error)
        if self._tried:
            return (
                f"the generator fails on samples {first_sample} to {first_sample + len(points) - 1} "
                f"({place}); mend it"
            )
        remedy = ", and module= if it is a function around a module"
        if self.dtype == torch.float64:
            remedy = f", or, if some of it cannot be {self.dtype}, {OWN_PRECISION}"
        return (
            f"the generator does not take one {points.dtype} tensor of shape {tuple(points.shape)} "
            f"({place}); give the latent size it was built for{remedy}"
        )

    def _noise(self, first_sample: int) -> contextlib.AbstractContextManager[None]:
        if self._module is None:
            return contextlib.nullcontext()
        return frozen(self._module, self._seed, first_sample=first_sample)

    def _try(self, first_sample: int, points: Tensor, *others: Tensor) -> None:
        with HalfPrecision() as half:
            output: object = self.one(points, first_sample, *others)
        if not isinstance(output, Tensor) or output.dtype not in EXACT:
            kind = output.dtype if isinstance(output, Tensor) else type(output).__name__
            raise InputError(
                f"the generator returns {kind}, but finite differences need float32 or float64; "
                "return images before any rounding, from a generator in .float()"
            )
        if half.found is not None:
            raise InputError(
                f"the generator computes in {half.found} inside, too coarse for finite differences in "
                f"{self.dtype}; switch that off"
            )
        if output.dtype.itemsize < self.dtype.itemsize:
            raise InputError(
                f"the generator computes in {output.dtype} inside, too coarse for finite differences in "
                f"{self.dtype}; switch that off, or measure it as it is: {OWN_PRECISION}"
            )
        if output.ndim < 2 or output.shape[0] != points.shape[0]:
            raise InputError(
                f"the generator returns shape {tuple(output.shape)} for {points.shape[0]} points; "
                "return one image for each point"
            )
        if (self.one(points, first_sample, *others) - output).norm() > REPEAT_TOLERANCE * output.norm():
            raise InputError(
                "the generator gives different images for the same latent, by noise that is not torch's own; "
                "freeze it, or inject noise with the layers of this package"
            )
        self._tried = True


@contextlib.contextmanager
def shared_noise(network: Network, *, module: nn.Module | None = None, seed: int = 0) -> Iterator[Pairs]:
    """Prepare a network for finite differences, and put everything back afterwards.

    Noise of this package's layers is a function of ``seed`` and the index of the pair, so it does not depend
    on the batch size. Other random operations of torch start from the same state in both calls of a pair.

    Args:
        network: A module, or any callable from points (N, ...) to outputs (N, ...).
        module: Where the noise layers are; ``network`` itself, or the module it is a method of, by default.
        seed: Seed of the noise.

    Yields:
        The function that evaluates pairs. While the block lasts, gradients and autocast are off, the module
        is in eval mode, and float32 is computed without TF32 or bfloat16.

    Raises:
        InputError: The module's parameters are neither float32 nor float64.

    Example:
        >>> with shared_noise(lambda z: z + torch.randn_like(z)) as pairs:
        ...     a, b = pairs(torch.ones(2, 4), torch.ones(2, 4), first_sample=0)
        >>> torch.equal(a, b)
        True
    """
    owner = module if module is not None else owner_of(network)
    pairs = Pairs(network, owner, seed)
    with (
        _eval_mode(owner),
        full_precision(),
        torch.autocast(pairs.device.type, enabled=False),
        torch.no_grad(),
    ):
        yield pairs


def counted_normal(seed: int, first_sample: int, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal points that depend on the seed and their own index alone.

    Args:
        seed: Seed of the stream.
        first_sample: Index of the first point of this batch.
        shape: (N, ...): the batch first.

    Returns:
        The points in float64 on the CPU, the same on every machine up to rounding.

    Example:
        >>> torch.equal(counted_normal(0, 0, (8, 3))[5:], counted_normal(0, 5, (3, 3)))
        True
    """
    return Frozen(seed, first_sample).epsilon(shape, "gaussian", torch.empty((), dtype=torch.float64))


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Within the block, float32 products and convolutions are computed in float32, on every backend."""
    operations = attrgetter(*FLOAT32_OPERATIONS)(torch.backends)
    matmul, convolution = _old_switches()
    before = [operation.fp32_precision for operation in operations]
    try:
        torch.set_float32_matmul_precision(
            "highest"
        )  # both generations of switches, so that reading either works
        torch.backends.cudnn.allow_tf32 = False
        for operation in operations:
            operation.fp32_precision = "ieee"
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if convolution is not None:
            torch.backends.cudnn.allow_tf32 = convolution
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = precision


def _old_switches() -> tuple[str | None, bool | None]:
    """The older switches, None where torch cannot tell because newer ones were mixed in."""
    matmul, convolution = None, None
    with contextlib.suppress(RuntimeError):
        matmul = torch.get_float32_matmul_precision()
    with contextlib.suppress(RuntimeError):
        convolution = torch.backends.cudnn.allow_tf32
    return matmul, convolution


@contextlib.contextmanager
def _eval_mode(module: nn.Module | None) -> Iterator[None]:
    before = {} if module is None else {part: part.training for part in module.modules()}
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for part, training in before.items():
            part.training = training


def owner_of(network: Network) -> nn.Module | None:
    """Tell which module a callable is, or is a method of; None for others."""
    if isinstance(network, nn.Module):
        return network
    owner = getattr(network, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def _home(module: nn.Module | None) -> tuple[torch.device, torch.dtype]:
    tensors = [] if module is None else [*module.parameters(), *module.buffers()]
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    for tensor in floating:
        if tensor.dtype not in EXACT:
            raise InputError(
                f"the generator is in {tensor.dtype}, too coarse for finite differences; call .float(), "
                "or give dtype=torch.float32"
            )
    return (floating[0].device, floating[0].dtype) if floating else (torch.device("cpu"), torch.float32)
