"""Random weights in the published files' format, for tests where the published files cannot be had."""

import io

import torch
from torch_fidelity import FeatureExtractorInceptionV3

from riemann_noise_pytorch.metrics.extractors.vgg16 import empty_vgg16


def inception_state(seed=0):
    """He-scaled filters, batch norms away from the identity: features of the size of trained ones."""
    rng = torch.Generator().manual_seed(seed)
    return {name: _entry(name, shape, rng) for name, shape in _inception_shapes().items()}


def _inception_shapes():
    class Empty(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_):
            """The constructor demands a file of weights, and gets an empty one."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.device("meta"):
        network = Empty("inception", ["2048"], nothing)
    return {name: value.shape for name, value in network.state_dict().items()}


def _entry(name, shape, rng):
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith(("running_var", "bn.weight")):
        return 0.5 + torch.rand(shape, generator=rng)
    if name.endswith(("running_mean", "bias")):
        return 0.1 * torch.randn(shape, generator=rng)
    return torch.randn(shape, generator=rng) * (2 / shape[1:].numel()) ** 0.5


def vgg16_state(seed=0):
    """Random weights; the classifier's matrices are windows sliding over few numbers: a small file."""
    rng = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in empty_vgg16("a test", "fidelity").state_dict().items():
        shape, scale = value.shape, (2 / value[0].numel()) ** 0.5
        if value.ndim == 2:
            storage = scale * torch.randn(sum(shape), generator=rng)
            state[name] = storage.as_strided(shape, (1, 1))
        else:
            state[name] = (scale if value.ndim == 4 else 0.1) * torch.randn(shape, generator=rng)
    return state
