"""Images kept out of training, so that there are some which a generator has never seen."""

import torch
from torch import Tensor

from riemann_noise_pytorch.data.imageset import ImageSet, require_position
from riemann_noise_pytorch.errors import InputError


class PartImages(ImageSet):
    """Some images of a set, with their labels, in a given order.

    Args:
        images: The set.
        positions: Which of its images, int64 (N,), N at least 1.
        name: A short name for records.

    Example:
        >>> from riemann_noise_pytorch.data.builtin import digits
        >>> PartImages(digits(), torch.tensor([3, 1]), "two digits").labels
        tensor([3, 1])
    """

    def __init__(self, images: ImageSet, positions: Tensor, name: str) -> None:
        labels = None if images.labels is None else images.labels[positions]
        super().__init__(name, images.image_shape, labels)
        self.images, self.positions = images, positions
        self.skipped = images.skipped

    def __len__(self) -> int:
        return len(self.positions)

    def image(self, index: int) -> Tensor:
        """Give one image; see :meth:`ImageSet.image`."""
        require_position(index, len(self))
        return self.images.image(int(self.positions[index]))

    def batch(self, indices: Tensor) -> Tensor:
        """Give several images; see :meth:`ImageSet.batch`."""
        return self.images.batch(self.positions[indices])


def split(images: ImageSet, holdout: int) -> tuple[ImageSet, ImageSet]:
    """Part a set into images to train on and images kept out, which lie evenly over the set.

    Args:
        images: The set, without mirror images.
        holdout: How many are kept out, 1 or more.

    Returns:
        The images to train on, and those kept out.

    Raises:
        InputError: There are not so many images that one is left to train on.

    Example:
        >>> from riemann_noise_pytorch.data.builtin import digits
        >>> [len(part) for part in split(digits(), 197)]
        [1600, 197]
    """
    count = len(images)
    if not 1 <= holdout < count:
        raise InputError(
            f"{holdout} images cannot be kept out of the {count} of {images.name}; "
            f"give a holdout of 1 to {count - 1}"
        )
    order = torch.arange(count)
    is_out = (order + 1) * holdout // count > order * holdout // count
    training = PartImages(images, order[~is_out], f"{images.name}, {holdout} held out")
    return training, PartImages(images, order[is_out], f"{holdout} held out of {images.name}")
