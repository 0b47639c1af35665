"""Inversion transcribed loop by loop: SSIM, the noise penalty, the losses of pixels and of features."""

import math

from torch.nn import functional


def ssim(x, y):
    """Wang et al. (2004), Eqs. 13-16, for one plane of values in [-1, 1], as lists of lists."""
    radius, sigma, c1, c2 = 5, 1.5, (0.01 * 2) ** 2, (0.03 * 2) ** 2
    window = {
        (i, j): math.exp(-(i * i + j * j) / (2 * sigma * sigma))
        for i in range(-radius, radius + 1)
        for j in range(-radius, radius + 1)
    }
    total = sum(window.values())
    values = []
    for row in range(radius, len(x) - radius):
        for column in range(radius, len(x[0]) - radius):
            at = [(w / total, x[row + i][column + j], y[row + i][column + j]) for (i, j), w in window.items()]
            mx, my = sum(w * a for w, a, _ in at), sum(w * b for w, _, b in at)
            vx, vy = sum(w * (a - mx) ** 2 for w, a, _ in at), sum(w * (b - my) ** 2 for w, _, b in at)
            cov = sum(w * (a - mx) * (b - my) for w, a, b in at)
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)))
    return sum(values) / len(values)


def autocorrelation(plane):
    """Karras et al. (2020), Appendix D, for one square noise map, a list of lists."""
    total = 0.0
    while True:
        size = len(plane)
        across = sum(plane[y][x] * plane[y][x - 1] for y in range(size) for x in range(size)) / size**2
        down = sum(plane[y][x] * plane[y - 1][x] for y in range(size) for x in range(size)) / size**2
        total += across**2 + down**2
        if size <= 8:
            return total
        half = range(size // 2)
        plane = [
            [2 * sum(plane[2 * y + i][2 * x + j] for i in (0, 1) for j in (0, 1)) / 4 for x in half]
            for y in half
        ]


def pixel_error(image, target, mask):
    """Mean over the seen pixels and all channels, for lists (C, H, W) and a mask (H, W) of 0 and 1."""
    seen = [(y, x) for y, row in enumerate(mask) for x, value in enumerate(row) if value]
    errors = [(image[c][y][x] - target[c][y][x]) ** 2 for c in range(len(image)) for y, x in seen]
    return sum(errors) / len(errors)


def vgg_loss(image, target, vgg):
    """Image2StyleGAN's perceptual loss of one RGB image (3, H, W) in [-1, 1] with torchvision's weights."""
    total = 0.0
    for a, b in zip(_responses(image, vgg), _responses(target, vgg), strict=True):
        total += float(((a - b) ** 2).sum()) / a.numel()
    return total


def _responses(image, vgg):
    x = image.clone()
    for channel, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        x[channel] = ((image[channel] + 1) / 2 - mean) / std
    x = x.unsqueeze(0)
    names = {0: "1_1", 2: "1_2", 5: "2_1", 7: "2_2", 10: "3_1", 12: "3_2", 14: "3_3", 17: "4_1", 19: "4_2"}
    found = []
    for index, name in names.items():
        if name in ("2_1", "3_1", "4_1"):
            x = functional.max_pool2d(x, 2)
        weight, bias = (vgg[f"features.{index}.{part}"].to(x) for part in ("weight", "bias"))
        x = functional.conv2d(x, weight, bias, padding=1).relu()
        if name in ("1_1", "1_2", "3_2", "4_2"):
            found.append(x[0])
    return found
