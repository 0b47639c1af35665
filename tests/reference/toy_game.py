"""The game of the toy, transcribed literally: one network each, point by point, slopes by explicit calls."""

import torch


def reference_game(generator, discriminator, draws, form, gamma, sigma, lr):
    """Play the steps that were drawn, with torch's own networks in float64."""
    betas = (0.5, 0.999)
    descend_d = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=betas)
    descend_g = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas)
    for draw in draws:
        real, latents, latents_g = (tensor[0].double() for tensor in draw[:3])
        noise = [sigma * tensor[0].double() for tensor in draw.noise]
        fake = generator(latents).detach()
        total = 0.0
        for i in range(len(real)):
            x, y = real[i] + noise[0][i], fake[i] + noise[1][i]
            p_x, slope_x = _player(discriminator, x)
            p_y, slope_y = _player(discriminator, y)
            total = total - torch.log(p_x) - torch.log(1 - p_y)
            total = total + gamma / 2 * ((1 - p_x) ** 2 * slope_x + p_y**2 * slope_y)
        descend_d.zero_grad()
        (total / len(real)).backward()
        descend_d.step()
        total = 0.0
        for i in range(len(real)):
            logit = discriminator(generator(latents_g[i]) + noise[2][i])[0]
            p = 1 / (1 + torch.exp(-logit))
            total = total + (torch.log(1 - p) if form == "minimax" else -torch.log(p))
        descend_g.zero_grad()
        (total / len(real)).backward()
        descend_g.step()


def _player(discriminator, point):
    """The probability that a point is real, and the squared slope of its logit in the point."""
    point = point.clone().requires_grad_(True)
    logit = discriminator(point)[0]
    (slope,) = torch.autograd.grad(logit, point, create_graph=True)
    return 1 / (1 + torch.exp(-logit)), sum(slope[j] ** 2 for j in range(len(point)))
