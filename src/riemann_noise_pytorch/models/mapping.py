r"""The mapping network of StyleGAN: from z, and a class label, to the intermediate latent w.

.. math:: w = f(z / \mathrm{rms}(z)), \qquad w = f\bigl([z / \mathrm{rms}(z),\; e / \mathrm{rms}(e)]\bigr)

where e is the embedding of the class, if there are classes.

References:
    Karras, Laine and Aila (2019), A style-based generator architecture for generative adversarial networks,
    arXiv:1812.04948, Section 2; Karras et al. (2020), arXiv:2006.06676, for class labels.
"""

from typing import final

import torch
from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.equalised import EqualisedLayer, EqualisedLinear

LR_MULTIPLIER = 0.01
"""The layers learn 100 times slower than the others (Karras et al. 2019, Appendix C)."""
W_DECAY = 0.995
"""Decay of the average w for each batch (Karras et al. 2019, official code)."""


@final
class Mapping(EqualisedLayer):
    """From z, and a class label if there are classes, to w.

    Args:
        z_dim: Dimension of z; 0 for labels alone.
        w_dim: Dimension of w.
        layers: Number of layers.
        classes: Number of classes, 0 for none.

    Attributes:
        w_avg: Moving average of w, (w_dim,), towards which truncation goes.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int = 512, w_dim: int = 512, layers: int = 8, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.embed = EqualisedLinear(classes, w_dim) if classes else None
        inputs = [z_dim + (w_dim if classes else 0)] + [w_dim] * (layers - 1)
        self.layers = nn.Sequential(
            *(EqualisedLinear(n, w_dim, lr_multiplier=LR_MULTIPLIER, activated=True) for n in inputs)
        )
        self.register_buffer("w_avg", torch.empty(w_dim))
        self.reset_parameters()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (N, z_dim) and classes (N,) of int64, for a network that has them, to w (N, w_dim).

        Raises:
            InputError: Labels are missing, not wanted, or out of range.
        """
        check_labels(labels, self.classes, z.shape[0])
        x = _normalised(z)
        if self.embed is not None and labels is not None:
            one_hot = nn.functional.one_hot(labels, self.classes).to(z.dtype)
            x = torch.cat([x, _normalised(self.embed(one_hot))], dim=1)
        w: Tensor = self.layers(x)
        return w

    @torch.no_grad()
    def follow(self, w: Tensor, decay: float = W_DECAY) -> None:
        """Move the average w a step towards the mean of a batch (N, w_dim), N at least 1."""
        self.w_avg.lerp_(w.detach().mean(dim=0).to(self.w_avg.dtype), 1 - decay)


def check_labels(labels: Tensor | None, classes: int, samples: int) -> None:
    """Refuse labels that do not fit a network.

    Args:
        labels: Classes (N,) of int64, or None.
        classes: Number of classes of the network, 0 for none.
        samples: N. (Under ``torch.compile`` the classes' range is not looked at.)

    Raises:
        InputError: Labels are missing, not wanted, of a wrong shape or type, or out of range.
    """
    if labels is None and not classes:
        return
    if labels is None:
        raise InputError(f"this network has {classes} classes; give labels, int64 of shape ({samples},)")
    if not classes:
        raise InputError("this network has no classes; leave the labels out")
    if labels.shape != (samples,) or labels.dtype != torch.int64:
        raise InputError(
            f"the labels have shape {tuple(labels.shape)} and type {labels.dtype}, but this network takes "
            f"int64 of shape ({samples},); convert or repeat them"
        )
    if not torch.compiler.is_compiling() and ((labels < 0) | (labels >= classes)).any():
        raise InputError(
            f"the labels lie in {int(labels.min())} to {int(labels.max())}, but this network has the "
            f"classes 0 to {classes - 1}; give labels among them"
        )


def _normalised(z: Tensor) -> Tensor:
    return z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
