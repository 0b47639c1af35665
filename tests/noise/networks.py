"""Networks of many shapes that know nothing of this package, each with a place for noise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torchvision.models as pip
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """A network, what it runs on, where its noise goes, and the tensor of its output that counts."""

    build: Callable[[], nn.Module]
    example: Callable[[], Any]
    where: Any
    hosts: tuple[str, ...]
    noise: str = "riemannian"
    options: dict[str, Any] = field(default_factory=dict)
    image: Callable[[Any], Tensor] = lambda output: output

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.build().eval()

    def run(self, model: nn.Module) -> Tensor:
        torch.manual_seed(1)
        example = self.example()
        if isinstance(example, dict):
            return self.image(model(**example))
        return self.image(model(*example) if isinstance(example, tuple) else model(example))


def up(wide: int, channels: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(wide, channels, 4, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]


def dcgan() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (8, 1, 1)), *up(8, 6), *up(6, 4), nn.Conv2d(4, 3, 3, 1, 1), nn.Tanh()
    )


class Stages(nn.Module):
    """Sequentials that are called: there the layer is the last child."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(8, 32)
        self.stage4 = nn.Sequential(*up(8, 6))
        self.stage8 = nn.Sequential(*up(6, 4))
        self.image = nn.Conv2d(4, 3, 1)

    def forward(self, z):
        return self.image(self.stage8(self.stage4(self.start(z).view(-1, 8, 2, 2))))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )

    def forward(self, x):
        return x + self.conv2(self.conv1(x.relu()).relu())


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Residual(3) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3, 2, 1)
        self.middle = nn.Conv2d(6, 6, 3, 1, 1)
        self.up = nn.ConvTranspose2d(12, 4, 4, 2, 1)
        self.image = nn.Conv2d(7, 3, 1)

    def forward(self, x):
        low = self.down(x).relu()
        high = self.up(torch.cat([low, self.middle(low).relu()], dim=1))
        return self.image(torch.cat([x, high], dim=1))


class Twice(nn.Module):
    """One module for two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Conv2d(3, 3, 3, 1, 1)

    def forward(self, x):
        return self.step(self.step(x).relu())


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 1, 1)

    def forward(self, x):
        h = self.conv(x)
        return h, h.mean(dim=(2, 3)), "a label"


class Moments(NamedTuple):
    mean: Tensor
    scale: Tensor


class Named(Pair):
    def forward(self, x):
        h, scale, _ = super().forward(x)
        return Moments(h, scale)


class Table(Pair):
    def forward(self, x):
        h, scale, label = super().forward(x)
        return {"features": h, "scale": scale, "label": label}


class Follows(nn.Module):
    """Uses one member of what its part puts out, whose type it insists on."""

    def __init__(self, part: nn.Module, key: int | str, kind: type) -> None:
        super().__init__()
        self.part, self.key, self.kind = part, key, kind
        self.image = nn.Conv2d(4, 3, 3, 1, 1)

    def forward(self, x):
        output = self.part(x)
        assert type(output) is self.kind
        assert len(output) == (2 if self.kind is Moments else 3)
        return self.image(output[self.key].relu())


class Labelled(nn.Module):
    """Keyword arguments only."""

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(3, 8)
        self.start = nn.Linear(8, 16)
        self.conv = nn.Conv2d(4, 3, 3, 1, 1)

    def forward(self, *, z, label):
        return self.conv(self.start(z + self.label(label)).view(-1, 4, 2, 2))


def sound() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (8, 1)), nn.ConvTranspose1d(8, 4, 6), nn.ReLU(), nn.Conv1d(4, 2, 3))


def connected() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh())


def z() -> Tensor:
    return torch.randn(2, 8)


def x() -> Tensor:
    return torch.randn(2, 3, 6, 6)


CONVS = ("blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2")
CASES = {
    "sequential": Case(dcgan, z, nn.ConvTranspose2d, ("1", "4")),
    "stages": Case(Stages, z, "stage*[48]", ("stage4", "stage8")),
    "resnet": Case(ResNet, x, "blocks.*.conv?", CONVS),
    "unet": Case(UNet, x, (nn.Conv2d, nn.ConvTranspose2d), ("down", "middle", "up", "image")),
    "shared": Case(Twice, x, "step", ("step",), options={"shared": True}),
    "tuple": Case(lambda: Follows(Pair(), 0, tuple), x, Pair, ("part",), options={"output": 0}),
    "named tuple": Case(
        lambda: Follows(Named(), 0, Moments), x, Named, ("part",), options={"output": "mean"}
    ),
    "dict": Case(
        lambda: Follows(Table(), "features", dict), x, "part", ("part",), options={"output": "features"}
    ),
    "keywords": Case(
        Labelled, lambda: {"z": z(), "label": torch.tensor([0, 2])}, lambda name, _: name == "conv", ("conv",)
    ),
    "1-d": Case(sound, z, [nn.ConvTranspose1d, "3"], ("1", "3")),
    "fully connected": Case(connected, z, nn.Linear, ("0", "2"), "euclidean"),
    "per channel": Case(connected, z, nn.Linear, ("0", "2"), "per-channel"),
    "channels last": Case(
        lambda: UNet().to(memory_format=torch.channels_last),
        lambda: x().to(memory_format=torch.channels_last),
        ["down", "up"],
        ("down", "up"),
    ),
    "bfloat16": Case(lambda: dcgan().bfloat16(), lambda: z().bfloat16(), nn.ConvTranspose2d, ("1", "4")),
    "float64": Case(lambda: ResNet().double(), lambda: x().double(), nn.Conv2d, CONVS),
    "torchvision resnet": Case(
        lambda: pip.resnet18(num_classes=4),
        lambda: torch.randn(2, 3, 32, 32),
        ["layer[12].?.bn1", "layer3"],  # behind bn1 comes a ReLU in place
        ("layer1.0.bn1", "layer1.1.bn1", "layer2.0.bn1", "layer2.1.bn1", "layer3"),
    ),
    "torchvision segmentation": Case(
        lambda: pip.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=4
        ),
        lambda: torch.randn(2, 3, 32, 32),
        "",
        ("",),
        options={"output": "out"},
        image=lambda output: output["out"],
    ),
}
