"""A generator held still: for each sample a plain function from the latent to the image, fit for derivatives.

Noise, classes and batch statistics are fixed, so what is left to differentiate is the latent and, where that
is asked for, the noise itself. Ranks need float64, for in float32 rounding alone fills every direction that a
network has lost; so a copy in float64 is measured. A network that cannot be one is measured as it is, and
:attr:`StillNetwork.remark` says so.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.geometry.derivatives import is_cut_off
from riemann_noise_pytorch.models.latent_space import Labels, checked_labels, labels_for, latent_size
from riemann_noise_pytorch.models.precision import first_non_finite, in_full_precision
from riemann_noise_pytorch.noise.control import Layers, given, noise_layers
from riemann_noise_pytorch.noise.failures import place_of_failure
from riemann_noise_pytorch.noise.listing import wrappers
from riemann_noise_pytorch.noise.pairs import REPEAT_TOLERANCE, Pairs, counted_normal, owner_of, shared_noise
from riemann_noise_pytorch.noise.precision import EXACT, Network, in_precision
from riemann_noise_pytorch.noise.selection import ours
from riemann_noise_pytorch.seeds import derive

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Joint:
    """The image as a function of the latent and of noise: of one vector, z first, then epsilon.

    Attributes:
        function: From such a vector, (z_dim + p,), to the image (C, H, W).
        start: The latent, and the noise as it is frozen, (z_dim + p,).
        noise_size: The number p of values of noise.
    """

    function: Function
    start: Tensor
    noise_size: int


@final
class StillNetwork:
    """A generator held still; made by :func:`still`.

    Attributes:
        z_dim: Size of the latent.
        device: Where latents are.
        dtype: Their dtype, and that of the arithmetic.
        module: What computes: the copy where there is one; None for a function.
        remark: Why it is not float64 that computes; empty where it is.
    """

    def __init__(
        self,
        pairs: Pairs,
        network: Network,
        module: nn.Module | None,
        labels: Labels | None,
        z_dim: int,
        dtype: torch.dtype | None,
        remark: str = "",
    ) -> None:
        self.z_dim = z_dim
        self.device = pairs.device
        self.dtype = pairs.dtype if dtype is None else dtype
        self.module = module
        self.remark = remark
        self._pairs = pairs
        self._network = network
        self._labels = labels

    def at(self, index: int) -> Function:
        """The function of one sample: from a latent (z_dim,) to its image (C, H, W).

        Args:
            index: Of the sample; its noise and its class depend on it, as those of a batch do.

        Returns:
            The function. It freezes the noise anew at every call, and passes through ``torch.func``.

        Raises:
            InputError: (When it is called) the network does not take the latent.
        """
        return self._function(index, self._network)

    @property
    def noise_names(self) -> tuple[str, ...]:
        """Names of this package's noise layers in the network."""
        return () if self.module is None else tuple(noise_layers(self.module))

    def joint_at(self, index: int, z: Tensor, layers: Layers = "*") -> Joint:
        """The function of one sample, with the noise of some layers as variables beside the latent.

        Args:
            index: Of the sample.
            z: Its latent, (z_dim,).
            layers: Names or patterns of this package's noise layers. Other noise stays frozen.

        Raises:
            InputError: The network has no noise layer of this package, none that is meant, or none that draws
                at this point; or a layer sees features of several sizes.
        """
        drawn = self._drawn(index, z, layers)
        sizes = [epsilon.numel() for epsilon in drawn.values()]

        def image(vector: Tensor) -> Tensor:
            z, *parts = torch.split(vector, [self.z_dim, *sizes])
            shaped = zip(drawn.items(), parts, strict=True)
            maps = {name: part.view(epsilon.shape) for (name, epsilon), part in shaped}
            return self._function(index, self._with_given(maps))(z)

        start = torch.cat([z.detach(), *(epsilon.flatten() for epsilon in drawn.values())])
        return Joint(image, start, sum(sizes))

    def _function(self, index: int, network: Network) -> Function:
        labels = self._labels_at(index)

        def image(z: Tensor) -> Tensor:
            return self._pairs.one(z.unsqueeze(0), index, *labels, network=network)[0]

        return image

    def _with_given(self, maps: Mapping[str, Tensor]) -> Network:
        """The network, with noise that counts before the frozen one, which is set just outside of it."""
        module = self.module
        assert module is not None

        def network(*inputs: Tensor) -> Tensor:
            with given(module, maps):
                return self._network(*inputs)

        return network

    def _drawn(self, index: int, z: Tensor, layers: Layers) -> dict[str, Tensor]:
        if self.module is None or not self.noise_names:
            whose = "the function that was given" if self.module is None else "the network"
            raise InputError(
                f"{whose} has no noise layer of this package, so its noise cannot be a variable; leave joint "
                "out, put noise in by inject(), or give module= for a function around a module"
            )
        drawn: dict[str, Tensor] = {}

        def note(name: str, layer: Any, inputs: Sequence[Any]) -> None:
            epsilon = layer.draw(inputs[0])
            if epsilon is not None and drawn.setdefault(name, epsilon.detach()).shape != epsilon.shape:
                raise InputError(
                    f"the noise of '{name}' has several sizes, so it is no one variable; leave this layer out"
                )

        with contextlib.ExitStack() as hooks:
            for name, layer in ours(self.module, layers).items():
                hook = layer.register_forward_pre_hook(
                    lambda layer, args, kwargs, name=name: note(name, layer, (*args, *kwargs.values())),
                    with_kwargs=True,
                )
                hooks.callback(hook.remove)
            with torch.no_grad():
                self.at(index)(z)
        if not drawn:
            raise InputError(
                "none of these noise layers draws noise for an image; name others, or leave joint out"
            )
        return drawn

    def check(self) -> None:
        """Run one sample, and refuse a network that cannot be differentiated.

        Raises:
            InputError: It does not take a latent, does not return one image of floating point for it, gives
                another one the next time, computes in fewer digits than it promises, or gives an image that
                changes with the latent but is cut off from it.
            NonFiniteError: The image has NaN or infinity; the message names the layer that gives it first.
        """
        z = counted_normal(derive(0, "trial latent"), 0, (1, self.z_dim)).to(self.device, self.dtype)
        labels = self._labels_at(0)
        with _Coarse(self.dtype) as coarse, torch.enable_grad():
            image = _checked(self._pairs.one(z.requires_grad_(), 0, *labels))
        if not image.isfinite().all():
            raise NonFiniteError(self._not_finite(z.detach(), *labels))
        found = coarse.found or (image.dtype if image.dtype.itemsize < self.dtype.itemsize else None)
        if found is not None:
            raise InputError(
                f"the generator computes in {found} inside, too coarse for derivatives in {self.dtype}; "
                "switch that off"
            )
        with torch.no_grad():
            again = self._pairs.one(z, 0, *labels)
        if (again - image).norm() > REPEAT_TOLERANCE * image.norm():
            raise InputError(
                "the generator gives different images for the same latent, by noise that is not torch's own; "
                "freeze it, or inject noise with the layers of this package"
            )
        if is_cut_off(lambda z: self._pairs.one(z, 0, *labels), z, image):
            raise InputError(
                "the images have no derivative in the latent, though they change with it: detach, no_grad, "
                ".data or NumPy cuts it off; let it pass from the latent to the image"
            )

    def _labels_at(self, index: int) -> tuple[Tensor, ...]:
        if self._labels is None:
            return ()
        return (checked_labels(self._labels, index, 1).to(self.device),)

    def _not_finite(self, *inputs: Tensor) -> str:
        name = first_non_finite(self._network, *inputs) if isinstance(self._network, nn.Module) else None
        place = f": layer '{name}' gives it first" if name else ""
        return f"the image of a latent has NaN or infinity{place}; check the generator's weights"


@contextlib.contextmanager
def still(
    generator: Network,
    z_dim: int | None = None,
    *,
    module: nn.Module | None = None,
    labels: Labels | None = None,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
) -> Iterator[StillNetwork]:
    """Prepare a generator for derivatives, and put everything back afterwards.

    Within the block the network is in eval mode, autocast, TF32 and half precision of StyleGAN2's blocks are
    off, attention is computed by its formula, and gradients are on. The noise of sample i is that which it
    has in a batch under :func:`~riemann_noise_pytorch.noise.pairs.shared_noise` with the same seed. Wrappers
    by ``torch.compile`` and data parallelism are taken off.

    Args:
        generator: From latents (N, z_dim), and labels (N,) if there are any, to images (N, C, H, W).
        z_dim: Size of the latent; the generator's own by default.
        module: Where its layers are, for a callable that is no module itself.
        labels: Classes by index; uniform ones by default, where the generator has ``classes``.
        dtype: Precision of the copy that is measured, float64 or float32; None for the generator itself as it
            is. Where the copy cannot be made or cannot run, the generator itself is measured, and the remark
            says why.
        seed: Seed of noise and classes.

    Raises:
        InputError: No size of the latent, another dtype, or a generator that cannot be differentiated.
        NonFiniteError: Its images are not finite.

    Example:
        >>> with still(nn.Linear(3, 2), 3) as net:
        ...     image = net.at(0)(torch.ones(3, dtype=net.dtype))
        >>> image.dtype, net.remark
        (torch.float64, '')
    """
    if dtype is not None and dtype not in EXACT:
        raise InputError(
            f"derivatives cannot be taken in {dtype}; choose torch.float64, or None for the generator's own"
        )
    size = latent_size(generator, z_dim, "z_dim")
    labels, _ = labels_for(generator, labels, seed)
    if isinstance(generator, nn.Module):
        generator = wrappers(generator)[-1]
    owner = owner_of(generator) if module is None else module
    prepared = partial(_prepared, labels=labels, z_dim=size, seed=seed)
    copied, reason = _copied(generator, owner, dtype, prepared)
    if copied is None:
        with prepared(generator, owner, None) as net:
            net.check()
            if net.dtype != torch.float64:
                net.remark = f"in {str(net.dtype).removeprefix('torch.')}, {reason}"
            yield net
    else:
        with prepared(*copied, dtype) as net:
            if dtype != torch.float64:
                net.remark = f"in {str(dtype).removeprefix('torch.')}, as asked"
            yield net


@contextlib.contextmanager
def _prepared(
    network: Network,
    module: nn.Module | None,
    dtype: torch.dtype | None,
    labels: Labels | None,
    z_dim: int,
    seed: int,
) -> Iterator[StillNetwork]:
    full = contextlib.nullcontext() if module is None else in_full_precision(module)
    with (
        full,
        _plain_attention(),
        shared_noise(network, module=module, seed=seed) as pairs,
        torch.enable_grad(),
    ):
        yield StillNetwork(pairs, network, module, labels, z_dim, dtype)


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Within the block, attention is the formula: its fused kernels have no rule for forward mode."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _copied(
    generator: Network,
    module: nn.Module | None,
    dtype: torch.dtype | None,
    prepared: Callable[..., contextlib.AbstractContextManager[StillNetwork]],
) -> tuple[tuple[Network, nn.Module | None] | None, str]:
    """A copy in a precision that it was seen to run in; or None, and the reason."""
    if dtype is None:
        return None, "the generator's own"
    is_function = module is None or isinstance(generator, (FunctionType, BuiltinFunctionType))
    try:
        copied = (generator, module) if is_function else in_precision(generator, module, dtype)
        with prepared(*copied, dtype) as net:
            net.check()
    except InputError as error:
        name = str(dtype).removeprefix("torch.")
        if is_function:
            return None, f"for the generator is a function, which cannot be copied into {name}"
        cause = f" ({place_of_failure(error.__cause__)})" if error.__cause__ else ""
        return None, f"for the generator does not run in {name} throughout{cause}"
    if copied[1] is not None and copied[1] is not module:
        copied[1].requires_grad_(False)
    return copied, ""


@final
class _Coarse(TorchFunctionMode):
    """Within the block, looks for results that depend on the latent and have fewer digits than are wanted."""

    def __init__(self, wanted: torch.dtype) -> None:
        super().__init__()
        self.found: torch.dtype | None = None
        self._wanted = wanted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = (value for value in tree_leaves(result) if isinstance(value, Tensor))
        for value in tensors:
            if value.is_floating_point() and value.requires_grad and value.itemsize < self._wanted.itemsize:
                self.found = self.found or value.dtype
        return result


def _checked(image: object) -> Tensor:
    """Refuse what is no image of one latent."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise InputError(
            f"the generator returns {kind}, which has no derivative; give one that returns images of "
            "floating point, before any rounding, and nothing else"
        )
    if image.ndim < 2 or len(image) != 1:
        raise InputError(
            f"the generator returns shape {tuple(image.shape)} for one latent; return one image for each"
        )
    return image
