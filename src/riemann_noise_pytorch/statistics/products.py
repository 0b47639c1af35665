"""Whether products of matrices in float32 keep all their digits on a CPU."""

import contextlib
from operator import attrgetter

import torch


def keeps_float32() -> bool:
    """Whether torch's switches leave products of float32 matrices on a CPU in float32.

    Returns:
        False where one asks for TF32 or bfloat16 inside, or where older and newer switches were mixed.
    """
    precise = False
    with contextlib.suppress(RuntimeError):
        precise = torch.get_float32_matmul_precision() == "highest"
    return precise and attrgetter("mkldnn.matmul.fp32_precision")(torch.backends) in ("none", "ieee")
