"""LPIPS 0.1 on VGG16 transcribed step by step from the paper's Section 3 and the weights' file format."""

import torch
from torch.nn import functional

CONVOLUTIONS = [0, 2, "pool", 5, 7, "pool", 10, 12, 14, "pool", 17, 19, 21, "pool", 24, 26, 28]
LAST_OF_STAGE = [2, 7, 14, 21, 28]


def activations(image, vgg):
    x = torch.stack(
        [
            (image[0] - -0.030) / 0.458,
            (image[1] - -0.088) / 0.448,
            (image[2] - -0.188) / 0.450,
        ]
    ).unsqueeze(0)
    found = []
    for layer in CONVOLUTIONS:
        if layer == "pool":
            x = functional.max_pool2d(x, 2)
            continue
        x = functional.conv2d(
            x, vgg[f"features.{layer}.weight"], vgg[f"features.{layer}.bias"], padding=1
        ).relu()
        if layer in LAST_OF_STAGE:
            found.append(x[0])
    return found


def distance(first, second, vgg, heads):
    total = 0.0
    pairs = zip(activations(first, vgg), activations(second, vgg), strict=True)
    for index, (a, b) in enumerate(pairs):
        weights = heads[f"lin{index}.model.1.weight"].flatten()
        _, h, w = a.shape
        for y in range(h):
            for x in range(w):
                u = a[:, y, x] / (a[:, y, x].square().sum().sqrt() + 1e-10)
                v = b[:, y, x] / (b[:, y, x].square().sum().sqrt() + 1e-10)
                total += float((weights * (u - v) ** 2).sum()) / (h * w)
    return total
