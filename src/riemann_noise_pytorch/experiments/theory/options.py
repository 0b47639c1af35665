"""Options of the experiments on the theory."""

from dataclasses import dataclass
from pathlib import Path

from riemann_noise_pytorch.errors import InputError


@dataclass(frozen=True)
class TheoryConfig:
    """Hold each lemma and theorem of the paper against an experiment."""

    quick: bool = False
    """Fewer points, draws and epochs, for a look in half a minute."""
    trap: Path | None = None
    """Folder of riemann-noise trap: its trained generators join the experiment on Theorem 1."""
    run: Path | None = None
    """Run folder or snapshot of a generator with Riemannian noise, for the premises of Eq. 15. None: a small
    one is trained on the digits for a moment."""
    seed: int = 0
    """Seed of points, directions, samples and noise."""

    def validate(self) -> None:
        """Refuse options that cannot be used.

        Raises:
            InputError: The first fault that is found, with the remedy.
        """
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; give 0 or more")
        if self.trap is not None and not (self.trap / "records.jsonl").is_file():
            raise InputError(
                f"{self.trap} holds no records.jsonl; give a folder written by `riemann-noise trap`"
            )
        if self.run is not None and not self.run.exists():
            raise InputError(f"there is nothing at {self.run}; give a run folder or a snapshot")
        self._open()

    def _open(self) -> None:
        """Open what was given now: the experiments that need it come late."""
        if self.trap is not None:
            from riemann_noise_pytorch.experiments.theory.trained import trained_generators

            trained_generators(self.trap)
        if self.run is not None:
            from riemann_noise_pytorch.experiments.theory.premises import noisy_generator

            noisy_generator(self.run)
