"""Is a generator of too few dimensions trapped, and does noise free it? Theorem 1, on drawn images.

The same DCGAN with fewer latent dimensions than the data and with as many, with each kind of noise, over
seeds: each is a task of its own, as in a comparison, and what is finished is kept when the experiment is
stopped.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from riemann_noise_pytorch.experiments.pool import Task
from riemann_noise_pytorch.experiments.records import Record, read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.resumable import Progress, Workers, open_folder, run_all
from riemann_noise_pytorch.experiments.trap.arm import TrapArm, measure_data, run_arm
from riemann_noise_pytorch.experiments.trap.options import TrapConfig
from riemann_noise_pytorch.models.networks import build_generator
from riemann_noise_pytorch.training.processes import require_device
from riemann_noise_pytorch.training.real_images import open_data
from riemann_noise_pytorch.training.state import config_for_images, network_config

DATA = "data"
CASES = {
    "no premise": "Theorem 1 says nothing",
    "norm": "the norm of the Jacobian grows",
    "divergence": "the divergence is shown to be log(2)/2 or more",
    "both": "the norm of the Jacobian grows and the divergence is shown to be log(2)/2 or more",
    "neither": "neither case of Theorem 1 is seen",
}


def dimension_trap(
    config: TrapConfig,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train and measure every generator, and record.

    Args:
        config: The options.
        out: Folder to write to, new or empty unless ``resume``.
        resume: Go on with an experiment that was stopped, with the same options.
        on_progress: Called as the tasks go on.

    The work is done in processes of its own, so a script that calls this needs an
    ``if __name__ == "__main__":`` guard.

    Returns:
        ``records.jsonl`` in the folder.

    Raises:
        InputError: Options or folder cannot be used.
        NonFiniteError: A training or a measurement is not finite; the message names the generator.
        Interrupted: SIGTERM or SIGINT came; finished generators and snapshots are kept.
    """
    config.validate()
    require_device(config.device)
    folder = Path(out)
    arms = [
        TrapArm(
            noise,
            config.dimension,
            config.training(z_dim, noise, seed),
            folder,
            config.images,
            config.epochs,
            config.latents,
        )
        for seed in range(config.seeds)
        for z_dim in config.z_dims
        for noise in config.noise
    ]
    build_generator(network_config(config_for_images(arms[0].config, open_data(arms[0].config))))
    open_folder(folder / "trap.json", "experiment", dataclasses.asdict(config), resume)
    data = folder / "data.jsonl"
    tasks = [Task(DATA, measure_data, (arms[0], data))] * (not data.is_file())
    tasks += [Task(arm.name, run_arm, (arm,)) for arm in arms if not arm.records.is_file()]
    run_all(tasks, Workers(config.workers, config.threads, config.device), folder, on_progress)
    path = folder / "records.jsonl"
    write_records(path, _collect(config, arms, data))
    return path


def _collect(config: TrapConfig, arms: Sequence[TrapArm], data: Path) -> list[Record]:
    each = [record for arm in arms for record in read_records(arm.records)]
    setup = {
        **setup_record(config.threads),
        "options": dataclasses.asdict(config),
    }
    found = [record for record in each if record["record"] == "arm"]
    return [setup, *read_records(data), *each, {"record": "verdict", "sentences": _sentences(config, found)}]


def _sentences(config: TrapConfig, found: Sequence[Record]) -> list[str]:
    """One sentence for each size of latent and kind of noise: how many of its trainings show what."""
    sentences = []
    for z_dim in config.z_dims:
        for noise in config.noise:
            mine = [record for record in found if (record["z_dim"], record["noise"]) == (z_dim, noise)]
            cases = Counter(record["case"] for record in mine)
            told = "; ".join(f"in {n} of {len(mine)} trainings {CASES[case]}" for case, n in cases.items())
            ranks = sorted({record["joint_rank"] or record["rank"] for record in mine})
            bounds = [record["js"]["value"] for record in mine]
            sentences.append(
                f"z_dim {z_dim}, noise {noise}: rank {' or '.join(map(str, ranks))}"
                f"{' with the noise' if noise != 'none' else ''} against {config.dimension} dimensions of "
                f"the data; {told} (divergence at least {min(bounds):.3g} to {max(bounds):.3g})."
            )
    return sentences
