import pytest
import torch

from riemann_noise_pytorch.models.dcgan import DCGANGenerator
from riemann_noise_pytorch.training.ema import MovingAverage, ema_decay, recalibrate


def generator(**options):
    torch.manual_seed(0)
    return DCGANGenerator(16, 1, z_dim=10, width=4, **options)


def moved(network, value):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_the_half_life_is_the_time_in_which_half_of_the_old_weights_is_forgotten():
    network = generator(norm="none")
    moved(network, 1.0)
    average = MovingAverage(network, half_life_kimg=0.64)
    moved(network, 0.0)
    for step in range(20):
        average.update(batch=32, images_seen=32 * step)
    assert all(p.mean() == pytest.approx(0.5, rel=1e-5) for p in average.module.parameters())


@pytest.mark.parametrize("batch", [1, 16, 64])
def test_the_decay_over_a_half_life_does_not_depend_on_the_batch(batch):
    assert ema_decay(batch, 10.0) ** (10_000 / batch) == pytest.approx(0.5)


def test_rampup_bounds_the_half_life_by_a_share_of_the_images_seen():
    assert ema_decay(32, 10.0, images_seen=0, rampup=0.05) == 0
    assert ema_decay(32, 10.0, images_seen=6400, rampup=0.05) == pytest.approx(0.5 ** (32 / 320))
    assert ema_decay(32, 10.0, images_seen=10**7, rampup=0.05) == ema_decay(32, 10.0)
    assert ema_decay(32, 0.0) == 0


def test_the_average_shares_no_memory_with_the_original():
    network = generator(noise="riemannian", riemann_preset="seed")
    average = MovingAverage(network, 1.0)
    average.update(8, 0)
    module = average.refresh()
    own = {t.data_ptr() for t in (*module.parameters(), *module.buffers())}
    assert own.isdisjoint(t.data_ptr() for t in (*network.parameters(), *network.buffers()))
    assert not any(p.requires_grad for p in module.parameters())
    assert not module.training
    assert network.training


def test_copied_statistics_are_the_originals():
    network = generator()
    average = MovingAverage(network, 1.0)
    network(torch.randn(32, 10))
    assert not torch.equal(average.module.stage4.norm.running_mean, network.stage4.norm.running_mean)
    average.refresh()
    assert torch.equal(average.module.stage4.norm.running_mean, network.stage4.norm.running_mean)


def test_recalibrated_statistics_are_the_means_over_the_samples_themselves():
    network = generator().double()
    for parameter in network.parameters():
        parameter.data.normal_()
    network.eval()
    captured = []
    network.stage4.conv.register_forward_hook(lambda *args: captured.append(args[2]))
    recalibrate(network, images=100, seed=5)
    features = torch.cat(captured).detach()
    norm = network.stage4.norm
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, features.transpose(0, 1).flatten(1).var(1))
    assert norm.momentum == 0.1
    assert not norm.training


def test_recalibration_is_reproducible_and_follows_the_weights():
    def statistics(scale):
        network = generator(noise="euclidean", noise_strength=0.3)
        network.stage4.conv.weight.data.mul_(scale)
        average = MovingAverage(network, 1.0, norm_statistics="recalibrate", recalibration_images=300)
        return average.refresh().stage8.norm.running_var, average.module.stage4.norm.running_var

    (first8, first4), (again8, again4), (_, larger4) = statistics(1), statistics(1), statistics(2)
    assert torch.equal(first8, again8)
    assert torch.equal(first4, again4)
    torch.testing.assert_close(larger4, 4 * first4)
