"""What generators and discriminators promise, so that training, metrics and geometry serve them all."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from riemann_noise_pytorch.errors import InputError

ImageShape = tuple[int, int, int]


class Generator(nn.Module, ABC):
    """A map from latents to images.

    Attributes:
        z_dim: Dimension of the latent z.
        w_dim: Dimension of the intermediate latent w, or None for a network without a mapping.
        image_shape: Shape (C, H, W) of one image.
    """

    z_dim: int
    w_dim: int | None
    image_shape: ImageShape

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Turn latents (N, z_dim) into images (N, C, H, W), about in [-1, 1]."""

    def check_latent(self, z: Tensor) -> None:
        """Refuse latents that are not (N, z_dim) of floating point.

        Raises:
            InputError: The shape or the type of ``z`` does not fit this network.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim or not z.is_floating_point():
            raise InputError(
                f"the latent has shape {tuple(z.shape)} and type {z.dtype}, but this generator takes "
                f"floating point of shape (N, {self.z_dim}); draw it with torch.randn(N, {self.z_dim})"
            )


class Discriminator(nn.Module, ABC):
    """A map from images to logits, high for real ones.

    Attributes:
        image_shape: Shape (C, H, W) of one image.
    """

    image_shape: ImageShape

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Turn images (N, C, H, W) in [-1, 1] into logits (N,)."""

    def check_images(self, x: Tensor) -> None:
        """Refuse images of another shape or of integers.

        Raises:
            InputError: The shape or the type of ``x`` does not fit this network.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != self.image_shape or not x.is_floating_point():
            expected = ", ".join(map(str, self.image_shape))
            raise InputError(
                f"the images have shape {tuple(x.shape)} and type {x.dtype}, but this discriminator takes "
                f"floating point in [-1, 1] of shape (N, {expected}); resize or convert them"
            )
