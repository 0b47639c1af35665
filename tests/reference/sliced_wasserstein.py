"""The sliced Wasserstein distance of Karras et al. (2018) transcribed loop by loop, in float64."""

import numpy as np
from scipy.stats import wasserstein_distance

TAPS = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]


def mirrored(index, length):
    """The position that a mirror at the first and the last pixel shows beyond the border."""
    while index < 0 or index >= length:
        index = -index if index < 0 else 2 * (length - 1) - index
    return index


def smoothed(image, gain):
    h, w = image.shape
    result = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            for i, a in enumerate(TAPS):
                for j, b in enumerate(TAPS):
                    result[y, x] += gain * a * b * image[mirrored(y + i - 2, h), mirrored(x + j - 2, w)]
    return result


def down(image):
    return smoothed(image, 1.0)[::2, ::2]


def up(image, shape):
    spread = np.zeros(shape)
    spread[::2, ::2] = image
    return smoothed(spread, 4.0)


def pyramid(image):
    levels = []
    while (min(image.shape) + 1) // 2 >= 8:
        coarser = down(image)
        levels.append(image - up(coarser, image.shape))
        image = coarser
    return [*levels, image]


def patches(level_images, corners):
    """Patches of (N, C, H, W) at the corners, normalised per channel over the set: a list of vectors."""
    n, c = level_images.shape[:2]
    by_channel = []
    for channel in range(c):
        found = [level_images[i, channel, y : y + 7, x : x + 7].ravel() for i in range(n) for y, x in corners]
        values = np.array(found)
        by_channel.append((values - values.mean()) / values.std())
    return np.concatenate(by_channel, axis=1)


def distance(real, fake, corners, directions):
    """Distance at one level, times 1000: SciPy's one-dimensional distance, direction by direction."""
    a, b = patches(real, corners), patches(fake, corners)
    return 1000 * np.mean([wasserstein_distance(a @ u, b @ u) for u in directions])
