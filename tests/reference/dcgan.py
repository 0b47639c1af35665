"""DCGAN written layer by layer from the PyTorch example, on a plain dictionary of weights."""

import torch.nn.functional as F  # noqa: N812


def generator(z, weights, resolution, norm):
    x = z.reshape(len(z), -1, 1, 1)
    size, first = 4, True
    while size < resolution:
        name = f"stage{size}"
        stride, padding = (1, 0) if first else (2, 1)
        x = F.conv_transpose2d(
            x, weights[f"{name}.conv.weight"], weights.get(f"{name}.conv.bias"), stride, padding
        )
        x = F.relu(normalised(x, weights, name, norm))
        size, first = size * 2, False
    x = F.conv_transpose2d(x, weights["to_image.conv.weight"], weights.get("to_image.conv.bias"), 2, 1)
    return x.tanh()


def discriminator(x, weights, resolution, norm):
    x = F.leaky_relu(
        F.conv2d(x, weights["from_image.conv.weight"], weights.get("from_image.conv.bias"), 2, 1), 0.2
    )
    size = resolution // 4
    while size >= 4:
        name = f"stage{size}"
        x = F.conv2d(x, weights[f"{name}.conv.weight"], weights.get(f"{name}.conv.bias"), 2, 1)
        x = F.leaky_relu(normalised(x, weights, name, norm), 0.2)
        size //= 2
    return F.conv2d(x, weights["to_logit.weight"], weights.get("to_logit.bias")).reshape(-1)


def normalised(x, weights, name, norm):
    if norm == "none":
        return x
    axes = (0, 2, 3) if norm == "batch" else (2, 3)
    mean = x.mean(axes, keepdim=True)
    variance = ((x - mean) ** 2).mean(axes, keepdim=True)
    gain, offset = weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"]
    return (x - mean) / (variance + 1e-5).sqrt() * gain.view(-1, 1, 1) + offset.view(-1, 1, 1)
