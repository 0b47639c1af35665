"""Where images come from: built-in sets, folders and ZIP archives, and the order in which they are seen.

An :class:`ImageSet` is a finite, ordered set of equally shaped uint8 images with optional class labels. A
sampler turns it into an endless, resumable stream of batches; nothing here knows networks or metrics.
"""

from riemann_noise_pytorch.data.builtin import BUILTIN_NAMES, BUILTIN_SETS, builtin_set
from riemann_noise_pytorch.data.folder import FolderImages
from riemann_noise_pytorch.data.grid import save_grid
from riemann_noise_pytorch.data.images import open_images
from riemann_noise_pytorch.data.imageset import ImageSet, MirroredImages, TensorImages, to_float, to_uint8
from riemann_noise_pytorch.data.manifold import ManifoldRenderer, manifold_images
from riemann_noise_pytorch.data.sampler import batches, in_order, index_batches

__all__ = [
    "BUILTIN_NAMES",
    "BUILTIN_SETS",
    "FolderImages",
    "ImageSet",
    "ManifoldRenderer",
    "MirroredImages",
    "TensorImages",
    "batches",
    "builtin_set",
    "in_order",
    "index_batches",
    "manifold_images",
    "open_images",
    "save_grid",
    "to_float",
    "to_uint8",
]
