import torch

from riemann_noise_pytorch.training.losses import LOGISTIC
from tests.reference import training as reference


def test_logistic_losses_equal_their_transcription():
    real, fake = torch.randn(2, 6, dtype=torch.float64) * 3
    of_d, of_g = reference.logistic(real, fake)
    torch.testing.assert_close(LOGISTIC.of_discriminator(real, fake), of_d, rtol=1e-12, atol=0)
    torch.testing.assert_close(LOGISTIC.of_generator(fake).mean(), of_g, rtol=1e-12, atol=0)


def test_logistic_losses_survive_extreme_logits():
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = LOGISTIC.of_discriminator(logits, logits) + LOGISTIC.of_generator(logits).mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_generator_does_not_saturate_where_the_discriminator_wins():
    logits = torch.tensor([-20.0], requires_grad=True)
    LOGISTIC.of_generator(logits).mean().backward()
    assert logits.grad.item() < -0.999
