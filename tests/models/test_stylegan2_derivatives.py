"""Derivatives of every order that training and geometry take, through the whole synthesis network."""

import pytest
import torch
from torch.func import functional_call, jvp, vjp, vmap

from riemann_noise_pytorch.models.stylegan2 import StyleGAN2Generator
from riemann_noise_pytorch.models.stylegan2_discriminator import StyleGAN2Discriminator
from riemann_noise_pytorch.noise.control import frozen, noise_layers

KINDS = ["none", "euclidean", "neutral", "paper"]


def built(noise, size=(8, 8), channels=1):
    torch.manual_seed(3)
    network = StyleGAN2Generator((channels, *size), 3, 3, 2, channel_max=2, noise=noise).double()
    for name, parameter in network.named_parameters():
        if ".noise." in name or name.endswith(".bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def rows(network, samples=2):
    return network.ws(torch.randn(samples, 3, dtype=torch.float64)).detach()


@pytest.mark.parametrize("noise", KINDS)
def test_first_and_second_derivatives_in_w_are_exact(noise):
    network = built(noise)
    ws = rows(network, 1).requires_grad_()

    def images(ws):
        return network.synthesis(ws, "const")

    assert torch.autograd.gradcheck(images, ws)
    assert torch.autograd.gradgradcheck(images, ws)


@pytest.mark.parametrize("noise", KINDS)
def test_derivatives_of_fused_kernels_are_exact(noise):
    network = built(noise)
    network.synthesis.fused = True
    ws = rows(network).requires_grad_()

    def images(ws):
        return network.synthesis(ws, "const")

    assert torch.autograd.gradcheck(images, ws, fast_mode=True)
    assert torch.autograd.gradgradcheck(images, ws, fast_mode=True)


@pytest.mark.parametrize("noise", KINDS)
def test_second_derivatives_in_w_parameters_and_noise_are_exact(noise):
    network = built(noise)
    named = {n: p.detach() for n, p in network.synthesis.named_parameters()}
    named |= {n: b for n, b in network.synthesis.named_buffers() if n.endswith("noise_const")}
    tensors = [rows(network).requires_grad_(), *(t.clone().requires_grad_() for t in named.values())]

    def images(ws, *values):
        state = dict(zip(named, values, strict=True))
        return functional_call(network.synthesis, state, (ws, "const"))

    assert torch.autograd.gradcheck(images, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(images, tensors, fast_mode=True)


@pytest.mark.parametrize("noise", KINDS)
def test_forward_mode_agrees_with_reverse_mode(noise):
    network = built(noise, (16, 20), 3)
    ws = rows(network)
    direction = torch.randn_like(ws)
    with frozen(network):
        images, tangent = jvp(network.synthesis, (ws,), (direction,))
        cotangent = torch.randn_like(images)
        (gradient,) = vjp(network.synthesis, ws)[1](cotangent)
    torch.testing.assert_close((tangent * cotangent).sum(), (gradient * direction).sum())


@pytest.mark.parametrize("noise", KINDS)
def test_vmap_over_w_agrees_with_one_batch(noise):
    network = built(noise, (16, 20), 3)
    ws = rows(network, 3)

    def image(ws):
        return network.synthesis(ws[None], "const")[0]

    torch.testing.assert_close(vmap(image)(ws), network.synthesis(ws, "const"), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("noise", KINDS)
def test_every_parameter_of_the_generator_gets_a_gradient(noise):
    network = built(noise, (16, 16), 3)
    network(torch.randn(4, 3, dtype=torch.float64)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert bool(noise_layers(network)) == (noise != "none")


def test_every_parameter_of_the_discriminator_gets_a_gradient_and_a_second_one():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator((3, 16, 16), classes=3, channel_max=4).double()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    logits = network(x, torch.tensor([0, 1, 2, 1]))
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    (logits.sum() + slope.square().sum()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_second_derivatives_of_the_discriminator_are_exact():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator((1, 8, 10), channel_max=2).double()
    x = torch.randn(2, 1, 8, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, x)
    assert torch.autograd.gradgradcheck(network, x, fast_mode=True)
