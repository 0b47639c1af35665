"""Our Adam is torch's, bit for bit, and rows that leave take their moments along."""

import pytest
import torch

from riemann_noise_pytorch.inversion.adam import adam_step


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.99)])
def test_steps_equal_those_of_torch_bit_for_bit(dtype, betas):
    rng = torch.Generator().manual_seed(0)
    ours = torch.randn(3, 17, generator=rng, dtype=dtype)
    theirs = torch.nn.Parameter(ours.clone())
    optimiser = torch.optim.Adam([theirs], lr=0.1, betas=betas, foreach=False, fused=False)
    moments = (torch.zeros_like(ours), torch.zeros_like(ours))
    for count in range(1, 31):
        lr = 0.1 / count
        gradient = torch.randn(3, 17, generator=rng, dtype=dtype)
        optimiser.param_groups[0]["lr"] = lr
        theirs.grad = gradient.clone()
        optimiser.step()
        adam_step(ours, gradient, moments, count, lr, betas)
        assert torch.equal(ours, theirs.detach())


def test_a_row_alone_goes_as_it_does_among_others():
    rng = torch.Generator().manual_seed(0)
    gradients = torch.randn(10, 4, 5, generator=rng, dtype=torch.float64)
    together, alone = torch.ones(4, 5, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64)
    moments = [tuple(torch.zeros_like(value) for _ in range(2)) for value in (together, alone)]
    for count, gradient in enumerate(gradients, start=1):
        adam_step(together, gradient, moments[0], count, 0.1, (0.9, 0.999))
        adam_step(alone, gradient[2:3], moments[1], count, 0.1, (0.9, 0.999))
    assert torch.allclose(together[2:3], alone, rtol=1e-14)
