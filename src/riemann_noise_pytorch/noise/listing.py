"""Which noise there is in a network: by looking, or by running it once."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from riemann_noise_pytorch.errors import InputError, RiemannNoiseError
from riemann_noise_pytorch.noise.foreign import generators_of, may_draw, seeded
from riemann_noise_pytorch.noise.hosts.probe import check_initialised
from riemann_noise_pytorch.noise.interfaces import NoiseLayer, check_module
from riemann_noise_pytorch.noise.wording import reason_of

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
HEADER = ("name", "kind", "shape", "planes", "law", "strength")


@dataclass(frozen=True)
class NoiseRow:
    """One source of noise in a network.

    Attributes:
        name: Of the noise layer, or of the innermost submodule that draws; empty for the network itself.
        kind: ``euclidean``, ``riemannian`` ...; ``foreign: randn`` for an operation of torch.
        shape: Of the layer's maps, None for any; or of the noise that was drawn.
        planes: ``shared`` or ``per_channel``, None for foreign noise.
        law: The distribution, None for foreign noise.
        strength: Of the layer, None for foreign noise.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    planes: str | None = None
    law: str | None = None
    strength: float | None = None


class NoiseTable(list[NoiseRow]):
    """Rows that print as a plain table."""

    def __str__(self) -> str:
        if not self:
            return "no noise"
        cells = [HEADER, *(_cells(row) for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
        return "\n".join(lines)


class NoiseLayers(dict[str, NoiseLayer]):
    """Noise layers by name, that print as a table of name, kind, shape, planes, law and strength."""

    def __str__(self) -> str:
        rows = NoiseTable(_row(name, layer, layer.size) for name, layer in self.items())
        return str(rows) if rows else "no noise layers"


def noise_layers(module: nn.Module) -> NoiseLayers:
    """Find the noise layers of a network.

    Args:
        module: Any module, a noise layer itself included (its name is then empty).

    Returns:
        The layers by qualified name, in order of registration; printed, a table. Wrappers by
        ``torch.compile`` and data parallelism do not show in the names.

    Example:
        >>> from riemann_noise_pytorch import EuclideanNoise, RiemannNoise
        >>> print(noise_layers(nn.Sequential(EuclideanNoise(strength=0.1), RiemannNoise(8, w=0.5))))
        name  kind        shape  planes  law       strength
        0     euclidean   any    shared  gaussian  0.1
        1     riemannian  8x8    shared  gaussian  0.5

    Raises:
        InputError: It is no module.
    """
    check_module("the network", module)
    return NoiseLayers(
        {name: part for name, part in parts_by_name(module).items() if isinstance(part, NoiseLayer)}
    )


def parts_by_name(module: nn.Module) -> dict[str, nn.Module]:
    """List all parts of a network, itself included; wrappers do not show in the names."""
    parts: dict[str, nn.Module] = {}
    for name, part in wrappers(module)[-1].named_modules():
        parts.setdefault(".".join(piece for piece in name.split(".") if piece != "_orig_mod"), part)
    return parts


def drawing_parts(module: nn.Module) -> dict[str, nn.Module]:
    """List the parts below a network whose calls may draw from torch's generators; lists are never called."""
    parts = parts_by_name(module).items()
    never_called = (nn.ModuleList, nn.ModuleDict)
    return {n: part for n, part in parts if n and not isinstance(part, never_called) and may_draw(part)}


def wrappers(module: nn.Module) -> list[nn.Module]:
    """List a network's wrappers by data parallelism and ``torch.compile``, the network itself last."""
    name = "module" if isinstance(module, PARALLEL) else "_orig_mod"
    inner = dict(module.named_children()).get(name)
    return [module] if inner is None else [module, *wrappers(inner)]


def inside_compiled(module: nn.Module, name: str) -> bool:
    """Tell whether a part of a network, by its name, is called inside of compiled code."""
    around = [part for outer, part in parts_by_name(module).items() if name.startswith(f"{outer}.")]
    return any(
        "_orig_mod" in dict(part.named_children()) or part._compiled_call_impl is not None
        for part in (*wrappers(module), *around)
    )


def find_noise(module: nn.Module, example_input: Tensor | tuple[Any, ...] | Mapping[str, Any]) -> NoiseTable:
    """Run a network once, and list what noise it drew: this package's layers, and torch's random operations.

    Modes stay as they are: dropout shows in training alone. The states of torch's generators and the buffers
    are put back afterwards. Noise of other libraries, such as numpy's, is not seen.

    Args:
        module: Any network.
        example_input: What to call it with: a tensor, a tuple of arguments or a dict of keyword arguments.

    Returns:
        A row for each layer and shape, in order of the first draw; printed, a table. Operations with a
        generator of their own, which ``frozen`` cannot hold, say so in their kind.

    Raises:
        InputError: The network does not take the input, is no module, or has lazy parts.

    Example:
        >>> print(find_noise(nn.Sequential(nn.Linear(3, 3), nn.Dropout()), torch.ones(2, 3)))
        name  kind                 shape  planes  law  strength
        1     foreign: bernoulli_  2x3    -       -    -
    """
    check_module("the network", module)
    check_initialised(parts_by_name(module))
    recorder = _Recorder(module)
    with (
        torch.no_grad(),
        seeded(0, recorder.generators),
        _buffers_put_back(module),
        recorder.following(module),
    ):
        args = example_input if isinstance(example_input, tuple) else (example_input,)
        try:
            with recorder:
                module(**example_input) if isinstance(example_input, Mapping) else module(*args)
        except (RiemannNoiseError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            raise InputError(
                f"the network does not take the example input ({reason_of(error)}); give a tensor, a tuple "
                "of arguments or a dict of keyword arguments that it can be called with"
            ) from error
    return NoiseTable(recorder.rows)


@final
class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which part of a network drew what."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generators = generators_of(module)
        self.rows: list[NoiseRow] = []
        self._stack: list[tuple[str, nn.Module]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        before = [generator.get_state() for generator in self.generators]
        output = func(*args, **kwargs)
        states = zip(before, self.generators, strict=True)
        drew = any(not torch.equal(state, generator.get_state()) for state, generator in states)
        if drew or kwargs.get("generator") is not None:
            self._note(str(func.overloadpacket.__name__) + ("" if drew else ", own generator"), output)
        return output

    @contextlib.contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Know within the block which part is being called."""
        with contextlib.ExitStack() as hooks:
            for name, part in parts_by_name(module).items():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                before = partial(self._enter, name)
                after = part.register_forward_hook(self._leave, always_call=True)
                hooks.callback(after.remove)
                hooks.callback(part.register_forward_pre_hook(before, prepend=True, with_kwargs=True).remove)
            yield

    def _enter(self, name: str, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._stack.append((name, part))
        if isinstance(part, NoiseLayer):
            mu = next(iter((*args, *kwargs.values())))
            self._add(_row(name, part, part.noise_shape(mu)))

    def _leave(self, *_: Any) -> None:
        self._stack.pop()

    def _note(self, operation: str, output: Any) -> None:
        if not any(isinstance(part, NoiseLayer) for _, part in self._stack):
            drawn = next(iter(output)) if isinstance(output, (tuple, list)) else output
            name = self._stack[-1][0] if self._stack else ""
            self._add(NoiseRow(name, f"foreign: {operation}", tuple(drawn.shape)))

    def _add(self, row: NoiseRow) -> None:
        if row not in self.rows:
            self.rows.append(row)


def _row(name: str, layer: NoiseLayer, shape: tuple[int, ...] | None) -> NoiseRow:
    return NoiseRow(name, layer.kind, shape, layer.planes, layer.law, float(layer.strength()))


def _cells(row: NoiseRow) -> tuple[str, ...]:
    _, kind, shape, *words, strength = astuple(row)
    size = "any" if shape is None else "x".join(map(str, shape)) or "scalar"
    number = "-" if strength is None else f"{strength:.3g}"
    return (row.name or "(itself)", kind, size, *(word or "-" for word in words), number)


@contextlib.contextmanager
def _buffers_put_back(module: nn.Module) -> Iterator[None]:
    before = [
        (part, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for part, name, buffer, value in before:
            setattr(part, name, buffer)
            buffer.copy_(value)
