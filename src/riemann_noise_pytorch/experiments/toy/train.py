r"""The game of the toy: generators and discriminators of several seeds and weights, trained side by side.

Each step, the discriminators minimise the logistic loss plus :math:`\tfrac{\gamma}{2} \Omega_{JS}`, then the
generators their own, each with Adam. Instance noise, of variance sigma^2, falls on every point that a
discriminator sees, in both phases. All random numbers are a function of the seed and the step: arms of equal
seed see the same real points and latents, and a resumed training equals an uninterrupted one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import torch
from torch import Tensor

from riemann_noise_pytorch.errors import NonFiniteError
from riemann_noise_pytorch.experiments.toy.mixtures import Mixture
from riemann_noise_pytorch.experiments.toy.networks import StackedNetworks
from riemann_noise_pytorch.experiments.toy.objectives import js_regularizer
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.choices import GeneratorLoss
from riemann_noise_pytorch.training.losses import make_loss

Z_DIM: Final = 2
BETAS: Final = (0.5, 0.999)
MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Member:
    """One network pair among those that train together.

    Args:
        seed: Of its initial weights, its real points, latents and noise.
        gamma: Weight of the JS regulariser, 0 or more; its factor 1/2 is not included in it.
        variance: Of the instance noise, 0 or more.
    """

    seed: int
    gamma: float = 0.0
    variance: float = 0.0


@dataclass(frozen=True)
class Protocol:
    """How a training goes; the defaults are those of the published example.

    Args:
        generator_loss: The generator's form of the logistic loss.
        batch: Real points, and generated ones, in a step.
        lr: Adam's learning rate.
        width: Units of each of the two hidden layers.
    """

    generator_loss: GeneratorLoss = "non-saturating"
    batch: int = 512
    lr: float = 1e-3
    width: int = 128


class Draws(NamedTuple):
    """What a step draws for every member, (members, batch, ...) each.

    ``noise`` is standard normal, for the real points, the generated ones, and those of the generators' phase;
    empty where there is none.
    """

    real: Tensor
    latents: Tensor
    generator_latents: Tensor
    noise: tuple[Tensor, ...]


@final
class ToyTraining:
    """Trains members of one generator loss on one mixture.

    Args:
        mixture: The real points.
        members: The network pairs.
        protocol: How they are trained.

    Attributes:
        step: Steps done.
        generator: All generators.
        discriminator: All discriminators.
    """

    def __init__(self, mixture: Mixture, members: Sequence[Member], protocol: Protocol) -> None:
        self.step = 0
        self._mixture, self._members, self._protocol = mixture, members, protocol
        seeds = [member.seed for member in members]
        hidden = (protocol.width, protocol.width)
        self.generator = StackedNetworks("generator", (Z_DIM, *hidden, mixture.ambient), seeds)
        self.discriminator = StackedNetworks("discriminator", (mixture.ambient, *hidden, 1), seeds)
        self._loss = make_loss("logistic", protocol.generator_loss)
        self._gamma = torch.tensor([member.gamma for member in members])
        self._variance = torch.tensor([member.variance for member in members])
        self._networks = {"generator": self.generator, "discriminator": self.discriminator}
        self._optimisers = {
            name: torch.optim.Adam(network.parameters(), protocol.lr, BETAS, fused=True)
            for name, network in self._networks.items()
        }

    def advance(self) -> None:
        """Do one step: the discriminators', then the generators'."""
        draws = self._draws(self.step, noisy=bool(self._variance.any()))
        self._descend("discriminator", self._discriminator_loss(draws, self._gamma, self._variance))
        self._descend("generator", self._generator_loss(draws))
        self.step += 1

    def smoothed_gradients(self, draw: int) -> tuple[Tensor, Tensor]:
        """Compute the discriminators' gradients with either smoothing, on the same points.

        Args:
            draw: Number of the draw of points, latents and noise.

        Returns:
            With instance noise of the member's variance and no penalty, and with the penalty of that weight
            and no noise: (members, parameters) each.
        """
        draws, strength = self._draws(draw, noisy=True, purpose="gradients"), self._gamma + self._variance
        nothing = torch.zeros_like(strength)
        losses = [
            self._discriminator_loss(draws, gamma=nothing, variance=strength),
            self._discriminator_loss(draws, gamma=strength, variance=nothing),
        ]
        parameters = list(self.discriminator.parameters())
        by_noise, by_penalty = (torch.autograd.grad(loss, parameters) for loss in losses)
        return (
            torch.cat([gradient.flatten(1) for gradient in by_noise], dim=1),
            torch.cat([gradient.flatten(1) for gradient in by_penalty], dim=1),
        )

    def _draws(self, number: int, *, noisy: bool, purpose: str = "step") -> Draws:
        """Draw by seed and number; members of equal seed draw equally, with or without noise."""
        batch, drawn = self._protocol.batch, {}
        for seed in {member.seed for member in self._members}:
            generator = torch.Generator().manual_seed(derive(seed, f"toy {purpose}", number))
            real = self._mixture.sample(batch, generator)
            latents = [torch.randn(batch, Z_DIM, generator=generator) for _ in range(2)]
            noise = [torch.randn(real.shape, generator=generator) for _ in range(3 * noisy)]
            drawn[seed] = [real, *latents, *noise]
        each = zip(*(drawn[member.seed] for member in self._members), strict=True)
        real, for_discriminator, for_generator, *noise = (torch.stack(tensors) for tensors in each)
        return Draws(real, for_discriminator, for_generator, tuple(noise))

    def _discriminator_loss(self, draws: Draws, gamma: Tensor, variance: Tensor) -> Tensor:
        """Sum the discriminators' losses, penalties included, over the members."""
        real = draws.real
        with torch.no_grad():
            fake: Tensor = self.generator(draws.latents)
        if variance.any():
            sigma = variance.sqrt()[:, None, None]
            real, fake = real + sigma * draws.noise[0], fake + sigma * draws.noise[1]
        if not gamma.any():
            both = self._logits(torch.cat([real, fake], dim=1))
            return self._adversarial(*both.chunk(2, dim=1)).sum()
        omega, v_real, v_fake = js_regularizer(self._logits, real, fake)
        return (self._adversarial(v_real, v_fake) + gamma / 2 * omega).sum()

    def _adversarial(self, v_real: Tensor, v_fake: Tensor) -> Tensor:
        return self._loss.on_real(v_real).mean(dim=1) + self._loss.on_fake(v_fake).mean(dim=1)

    def _generator_loss(self, draws: Draws) -> Tensor:
        fake: Tensor = self.generator(draws.generator_latents)
        if self._variance.any():
            fake = fake + self._variance.sqrt()[:, None, None] * draws.noise[2]
        return self._loss.of_generator(self._logits(fake)).mean(dim=1).sum()

    def _logits(self, points: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(points)
        return logits.squeeze(2)

    def _descend(self, name: str, loss: Tensor) -> None:
        parameters = list(self._networks[name].parameters())
        self._optimisers[name].zero_grad()
        torch.autograd.backward(loss, inputs=parameters)
        self._optimisers[name].step()

    @torch.no_grad()
    def samples(self, count: int) -> Tensor:
        """Generate points from latents that stay the same throughout, (members, count, ambient).

        Raises:
            NonFiniteError: A point of some member is not finite; its seed and the step are named.
        """
        latents = {
            seed: torch.randn(
                count, Z_DIM, generator=torch.Generator().manual_seed(derive(seed, "toy shown"))
            )
            for seed in {member.seed for member in self._members}
        }
        points: Tensor = self.generator(torch.stack([latents[member.seed] for member in self._members]))
        bad = ~points.isfinite().all(dim=2).all(dim=1)
        if bad.any():
            member = self._members[int(bad.nonzero()[0])]
            raise NonFiniteError(
                f"the generator of seed {member.seed} is not finite after {self.step} steps; "
                "lower --gammas, --noise-variances or --lr"
            )
        return points

    def state_dict(self) -> dict[str, Tensor]:
        """Copy weights, moments and the number of steps as tensors, to go on from."""
        tensors = {"step": torch.tensor(self.step)}
        for name, network in self._networks.items():
            for at, parameter in network.named_parameters():
                tensors[f"{name}.{at}"] = parameter.detach().clone()
                for moment, value in self._optimisers[name].state[parameter].items():
                    tensors[f"{name}.{at}.{moment}"] = value.clone()
        return tensors

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state_dict` of a training of the same members, after one step or more.

        Raises:
            KeyError: A tensor is missing.
            RuntimeError: A tensor has another shape.
        """
        for name, network in self._networks.items():
            for at, parameter in network.named_parameters():
                parameter.copy_(tensors[f"{name}.{at}"])
                self._optimisers[name].state[parameter] = {
                    moment: tensors[f"{name}.{at}.{moment}"].clone() for moment in MOMENTS
                }
        self.step = int(tensors["step"])
