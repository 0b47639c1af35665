r"""How the learning rate and the noise on w change over an optimisation, as functions of the step.

.. math::

    \eta_t = \eta \Bigl(\tfrac12 - \tfrac12 \cos\bigl(\pi \min(1, \tfrac{1 - t}{0.25})\bigr)\Bigr)
    \min(1, \tfrac{t}{0.05}), \qquad
    \nu_t = 0.05\, \sigma_w \max(0, 1 - \tfrac{t}{0.75})^2, \qquad t = k / K

for step k of K, counted from 0: the first step of a ramp has rate 0.

References:
    Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, Appendix D.
"""

import math

RAMP_UP = 0.05
RAMP_DOWN = 0.25
LATENT_NOISE = 0.05
LATENT_NOISE_END = 0.75
"""Shares of the steps, and the strength in standard deviations, of Karras et al. (2020), Appendix D."""


def constant(step: int, steps: int) -> float:  # noqa: ARG001 - one signature for all schedules
    """The factor 1 at every step."""
    return 1.0


def ramped(step: int, steps: int, *, up: float = RAMP_UP, down: float = RAMP_DOWN) -> float:
    """The factor of the learning rate: up in a line, 1, down by a cosine.

    Args:
        step: Number of the step, from 0.
        steps: How many there are.
        up: Share of the steps in which the rate grows; 0 for none.
        down: Share of the steps, the last, in which it falls; 0 for none.

    Example:
        >>> [ramped(step, 100) for step in (0, 5, 75)]
        [0.0, 1.0, 1.0]
    """
    t = step / steps
    falling = 1.0 if down == 0 else 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / down))
    return falling if up == 0 else falling * min(1.0, t / up)


def latent_noise(
    step: int, steps: int, *, strength: float = LATENT_NOISE, end: float = LATENT_NOISE_END
) -> float:
    """The standard deviation of the noise on the latent, as a multiple of the latent's own.

    Args:
        step: Number of the step, from 0.
        steps: How many there are.
        strength: The multiple at the first step.
        end: Share of the steps after which there is none.

    Example:
        >>> latent_noise(0, 100), latent_noise(75, 100)
        (0.05, 0.0)
    """
    return strength * max(0.0, 1 - step / steps / end) ** 2
