"""StyleGAN2 written sample by sample and channel by channel, with SciPy's convolutions, on plain arrays.

A transposed convolution is written as what it is: zeros put between the pixels, then a true convolution.
"""

import math

import numpy as np
from scipy.signal import convolve2d, correlate2d, upfirdn

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8
FILTER = np.outer(TAPS, TAPS)


def doubled(plane):
    for axis in (0, 1):
        plane = upfirdn(2 * TAPS, plane, up=2, axis=axis)
    return plane[1:-1, 1:-1]


def halved(plane):
    height, width = plane.shape
    for axis in (0, 1):
        plane = upfirdn(TAPS, plane, axis=axis)
    return plane[2::2, 2::2][: height // 2, : width // 2]


def zeros_between(plane):
    wide = np.zeros((2 * plane.shape[0] - 1, 2 * plane.shape[1] - 1))
    wide[::2, ::2] = plane
    return wide


def convolved(x, kernel, up=False, down=False):
    """(I, H, W) by a kernel (O, I, k, k)."""
    planes = []
    for output in kernel:
        total = 0
        for plane, k in zip(x, output, strict=True):
            if up:
                inserted = convolve2d(zeros_between(plane), k, mode="full")
                total = total + convolve2d(inserted, 4 * FILTER, mode="full")[2:-2, 2:-2]
            elif down and k.shape == (3, 3):
                smooth = convolve2d(plane, FILTER, mode="full")[1:-1, 1:-1]
                total = total + correlate2d(smooth, k, mode="valid")[::2, ::2]
            elif down:
                total = total + halved(plane) * k.item()
            else:
                total = total + correlate2d(plane, k, mode="same")
        planes.append(total)
    return np.stack(planes)


def modulated(kernel, style, demodulate):
    """The kernel of one sample, index by index."""
    result = np.empty_like(kernel)
    for o in range(kernel.shape[0]):
        for i in range(kernel.shape[1]):
            result[o, i] = style[i] * kernel[o, i]
        if demodulate:
            energy = sum(float(v) ** 2 for v in result[o].flatten())
            result[o] /= math.sqrt(energy + 1e-8)
    return result


def modulated_conv(x, kernel, styles, demodulate=True, up=False):
    return np.stack(
        [
            convolved(sample, modulated(kernel, style, demodulate), up)
            for sample, style in zip(x, styles, strict=True)
        ]
    )


def activated(x):
    return np.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def normalised(x):
    return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)


def affine(x, weights, name, multiplier=1.0):
    weight = weights[f"{name}.weight"]
    return x @ weight.T * (multiplier / math.sqrt(weight.shape[1])) + weights[f"{name}.bias"] * multiplier


def mapping(z, labels, weights, name, layers):
    x = normalised(z) if z.shape[1] else z
    if labels is not None:
        one_hot = np.eye(weights[f"{name}.embed.weight"].shape[1])[labels]
        x = np.concatenate([x, normalised(affine(one_hot, weights, f"{name}.embed"))], axis=1)
    for i in range(layers):
        x = activated(affine(x, weights, f"{name}.layers.{i}", 0.01))
    return x


def synthesis(ws, weights, heights, noise):
    """Rows of w to images; ``noise`` gives what a layer of that name makes of its features."""
    image, row = 0, 0
    for height in heights:
        block = f"synthesis.block{height}"
        if height == heights[0]:
            x, convs = np.stack([weights[f"{block}.const"]] * len(ws)), ["conv1"]
        else:
            convs = ["conv0", "conv1"]
            image = np.stack([np.stack([doubled(plane) for plane in sample]) for sample in image])
        for conv in convs:
            style = affine(ws[:, row], weights, f"{block}.{conv}.affine")
            x = modulated_conv(x, weights[f"{block}.{conv}.weight"], style, up=conv == "conv0")
            x = activated(noise(f"{block}.{conv}", x) + weights[f"{block}.{conv}.bias"][:, None, None])
            row += 1
        style = affine(ws[:, row], weights, f"{block}.to_image.affine") / math.sqrt(x.shape[1])
        own = modulated_conv(x, weights[f"{block}.to_image.weight"], style, demodulate=False)
        image = image + own + weights[f"{block}.to_image.bias"][:, None, None]
    return image


def scaled_conv(x, weights, name, down=False):
    weight = weights[f"{name}.weight"]
    kernel = weight / math.sqrt(weight[0].size)
    y = np.stack([convolved(sample, kernel, down=down) for sample in x])
    bias = weights.get(f"{name}.bias")
    return y if bias is None else y + bias[:, None, None]


def discriminator(x, labels, weights, heights, group, grouping, layers):
    """Images to logits; the heights of the blocks from the largest."""
    x = activated(scaled_conv(x, weights, "from_image"))
    for height in heights:
        block = f"block{height}"
        y = activated(scaled_conv(x, weights, f"{block}.conv0"))
        y = activated(scaled_conv(y, weights, f"{block}.conv1", down=True))
        x = (y + scaled_conv(x, weights, f"{block}.skip", down=True)) / math.sqrt(2)
    x = np.concatenate([x, spread(x, group, grouping)], axis=1)
    x = activated(scaled_conv(x, weights, "conv"))
    x = affine(activated(affine(x.reshape(len(x), -1), weights, "dense")), weights, "logit")
    if labels is None:
        return x[:, 0]
    embedded = mapping(np.zeros((len(x), 0)), labels, weights, "mapping", layers)
    return (x * embedded).sum(axis=1) / math.sqrt(embedded.shape[1])


def spread(x, group, grouping):
    samples = len(x)
    size = max(g for g in range(1, group + 1) if g <= samples and samples % g == 0)
    groups = samples // size
    planes = np.empty((samples, 1, *x.shape[2:]))
    for n in range(samples):
        if grouping == "consecutive":
            members = [m for m in range(samples) if m // size == n // size]
        else:
            members = [m for m in range(samples) if m % groups == n % groups]
        total = 0.0
        for place in np.ndindex(x.shape[1:]):
            values = [x[(m, *place)] for m in members]
            mean = sum(values) / size
            total += math.sqrt(sum((v - mean) ** 2 for v in values) / size + 1e-8)
        planes[n] = total / x[0].size
    return planes
