"""Independent random streams from one seed, the same on every machine."""

import hashlib


def derive(seed: int, *parts: str | int) -> int:
    """Derive the seed of an independent stream.

    Args:
        seed: The seed of the whole experiment.
        *parts: What names the stream, such as ``"latents", step``.

    Returns:
        An integer in [0, 2^63), fit for ``torch.Generator.manual_seed``.

    Example:
        >>> derive(0, "latents", 1) == derive(0, "latents", 1)
        True
        >>> derive(0, "latents", 1) == derive(0, "latents", 2)
        False
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
