"""Are images found again that a generator made itself, and what does its noise add to images that it did not?

First question: 64 samples of each generator, inverted from 1, 4 and 16 starts with the noise that they were
made with known and frozen: in z of DCGANs, in w of a StyleGAN2. Told are the share above 30 dB, the median
PSNR, and the seconds of each. Starts are drawn apart from the samples.

Second question: 16 digits that no training saw, inverted as `riemann-noise invert` does: the latents under
frozen noise, then the noise alone, with as many steps for the latents on both sides. Told are the PSNR
without and with the noise, the least and the median gain with its bootstrap interval, the root mean square of
the noise that was found (drawn noise has 1), and learned strengths near 0.

Generators that are not given are trained first, on digits with 197 of them held out. What is trained is kept
in the folder and found again; what is inverted is done anew.

Run: python benchmarks/inversion_rates.py [--out runs/inversion-rates] [--run dcgan=FOLDER] [--record FILE]
"""

import argparse
import dataclasses
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.inversion.invert import invert_images
from riemann_noise_pytorch.experiments.inversion.options import InvertConfig
from riemann_noise_pytorch.experiments.inversion.results import RECORDS
from riemann_noise_pytorch.experiments.inversion.summary import NO_STRENGTH
from riemann_noise_pytorch.experiments.records import read_records, setup_record, write_records
from riemann_noise_pytorch.experiments.targets import Target, open_target
from riemann_noise_pytorch.inversion.projector import invert
from riemann_noise_pytorch.inversion.quality import FOUND_DB, psnr
from riemann_noise_pytorch.inversion.recipes import Recipe, recipe_named
from riemann_noise_pytorch.inversion.results import success_rate
from riemann_noise_pytorch.inversion.task import told_terms
from riemann_noise_pytorch.models.interfaces import Generator
from riemann_noise_pytorch.noise.control import frozen, noise_layers
from riemann_noise_pytorch.report.tables import Column, Table, markdown
from riemann_noise_pytorch.seeds import derive
from riemann_noise_pytorch.training.checkpoints import list_snapshots, newest_snapshot
from riemann_noise_pytorch.training.config import resolve_config
from riemann_noise_pytorch.training.loop import train
from riemann_noise_pytorch.training.real_images import held_out_images, open_data

Record = dict[str, Any]
_DCGAN = {"resolution": 32, "width": 32, "z_dim": 64}
NETWORKS: dict[str, dict[str, Any]] = {
    "dcgan": {"preset": "dcgan", **_DCGAN},
    "dcgan-eni": {"preset": "dcgan-eni", **_DCGAN},
    "dcgan-rni": {"preset": "dcgan-rni", **_DCGAN},
    "stylegan2-eni": {"preset": "stylegan2-eni-small"},
}
"""What is trained under each name."""
SETTINGS = ("images", "restarts", "steps", "batch", "digits", "fit_steps", "kimg")
"""Options that are recorded."""
HELD_OUT = 197
SEED = 0
RESTARTS = (1, 4, 16)
ENOUGH = 0.95
"""The share of samples that is to be found again from the most starts."""
LIMIT_S = 600.0
"""The time that this may take, for 64 samples of a DCGAN of 32x32 on 2 cores."""
ROUNDING_DB = 1e-3
"""A PSNR that is lower by less is not lower: it is of other batches, which agree up to rounding."""

RATE_COLUMNS = (
    Column("generator", "name"),
    Column("in", "name"),
    Column("starts", "number"),
    Column(f"above {FOUND_DB:g} dB", "number"),
    Column("median PSNR", "number"),
    Column("seconds", "number"),
)
GAIN_COLUMNS = (
    Column("generator", "name"),
    Column("recipe", "name"),
    Column("noise frozen", "number"),
    Column("noise optimised", "number"),
    Column("least gain", "number"),
    Column("median gain, dB (95 % interval)", "number"),
    Column("noise RMS", "number"),
    Column("strengths", "number"),
    Column("seconds", "number"),
)


def run_of(name: str, options: argparse.Namespace) -> Path:
    """The run of a generator, trained where it was not given and is not there."""
    if name in options.run:
        return Path(options.run[name])
    folder: Path = options.out / "runs" / name
    changes = dict(NETWORKS[name])
    preset = changes.pop("preset")
    kimg = options.kimg["stylegan2" if name.startswith("stylegan2") else "dcgan"]
    changes |= {"holdout": HELD_OUT, "kimg": kimg, "tick_kimg": min(2.0, kimg), "seed": SEED, "device": "cpu"}
    config = resolve_config(preset, changes)
    finished = [int(path.stem) >= 1000 * kimg for path in list_snapshots(folder)]
    if not any(finished):
        print(f"training {name} on {kimg:g} thousand images", flush=True)
        train(config, open_data(config), folder, resume=(folder / "config.json").is_file())
    return folder


def recipe_for(target: Target, steps: int | None) -> Recipe:
    """Several starts in z, or in w where there is one; the first there is the mean."""
    recipe = recipe_named("z-restarts")
    assert target.generator is not None
    if getattr(target.generator, "w_dim", None) is not None:
        recipe = recipe.changed(space="w", start="mean")
    return recipe if steps is None else recipe.changed(steps=steps)


@torch.no_grad()
def samples(generator: Generator, count: int) -> Tensor:
    """Images of the generator at latents that are no start, under the noise of the inversion."""
    stream = torch.Generator().manual_seed(derive(SEED, "samples to find again"))
    z = torch.randn(count, generator.z_dim, generator=stream)
    with frozen(generator, SEED):
        return generator(z)


def rates(name: str, target: Target, options: argparse.Namespace) -> list[Record]:
    """Invert samples from each number of starts."""
    generator, recipe = target.generator, recipe_for(target, options.steps)
    assert isinstance(generator, Generator)
    targets = samples(generator, options.images)
    found = []
    for restarts in options.restarts:
        began_s = time.perf_counter()
        found_again = invert(generator, targets, recipe, restarts=restarts, seed=SEED, batch=options.batch)
        spent_s = time.perf_counter() - began_s
        decibels = psnr(found_again.chosen(found_again.images), targets)
        record = {
            "record": "rate",
            "generator": name,
            "space": recipe.space,
            "recipe": recipe.name,
            "objective": told_terms(recipe.stages[0].objectives),
            "steps": recipe.stages[0].steps,
            "images": options.images,
            "restarts": restarts,
            "above": round(success_rate(found_again, targets) * options.images),
            "median_psnr": round(float(decibels.median()), 2),
            "least_psnr": round(float(decibels.min()), 2),
            "s": round(spent_s, 1),
        }
        print(" | ".join(rate_row(record)), flush=True)
        found.append(record)
    return found


def digits_unseen(run: Path, count: int, folder: Path) -> Path:
    """Write digits that a run held out, evenly over them, as files."""
    kept = held_out_images(newest_snapshot(run).config)
    if kept is None or len(kept) < count:
        there = 0 if kept is None else len(kept)
        raise InputError(f"{run} held out {there} images; train with --holdout {count} or more")
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = kept.image(i * len(kept) // count).permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def gain(name: str, run: Path, target: Target, options: argparse.Namespace) -> Record:
    """Invert digits that were held out, by the recipe that the command chooses for the generator."""
    folder: Path = options.out / "inversions" / name
    shutil.rmtree(folder, ignore_errors=True)
    images = digits_unseen(run, options.digits, folder / "images")
    steps = None if options.fit_steps is None else tuple(options.fit_steps)
    config = InvertConfig(steps=steps, seed=SEED, batch=options.batch, device="cpu")
    began_s = time.perf_counter()
    invert_images(target, [images], config, out=folder / "inversion")
    spent_s = time.perf_counter() - began_s
    setup, *each, summary = read_records(folder / "inversion" / RECORDS)
    without, fitted = ([image[side]["psnr"] for image in each] for side in ("without", "with"))
    record = {
        "record": "gain",
        "generator": name,
        **{key: setup[key] for key in ("recipe", "space", "stages", "objectives", "restarts", "sequential")},
        "images": len(each),
        "without": without,
        "with": fitted,
        "least_gain": min(b - a for a, b in zip(without, fitted, strict=True)),
        **{key: summary[key] for key in ("gain", "strengths", "spread", "noise_rms", "sentences")},
        "s": round(spent_s, 1),
    }
    print(" | ".join(gain_row(record)), flush=True)
    return record


def rate_row(record: Record) -> list[str]:
    share = f"{record['above']} of {record['images']}"
    numbers = [str(record["restarts"]), share, f"{record['median_psnr']:.1f}", f"{record['s']:.0f}"]
    return [record["generator"], record["space"], *numbers]


def gain_row(record: Record) -> list[str]:
    strengths = [abs(strength) for strength in record["strengths"].values()]
    middle = record["gain"]
    interval = "" if middle["low"] is None else f" ({middle['low']:.2f} to {middle['high']:.2f})"
    steps = " + ".join(f"{stage['steps']:,}" for stage in record["stages"])
    return [
        record["generator"],
        f"{record['recipe']} in {record['space']}, {steps} steps",
        f"{statistics.median(record['without']):.1f}",
        f"{statistics.median(record['with']):.1f}",
        f"{record['least_gain']:.2f}",
        f"{middle['median']:.2f}{interval}",
        f"{record['noise_rms']:.2g}",
        f"{min(strengths):.2g} to {max(strengths):.2g}",
        f"{record['s']:.0f}",
    ]


def tables(records: list[Record]) -> list[Table]:
    """The two tables of a record, as they are printed and published."""
    kinds = (
        ("rate", "Samples found again, the noise known and frozen", RATE_COLUMNS, rate_row),
        ("gain", "Held-out digits under frozen noise, and with the noise optimised", GAIN_COLUMNS, gain_row),
    )
    found = []
    for kind, title, columns, row in kinds:
        rows = [row(record) for record in records if record["record"] == kind]
        if rows:
            found.append(Table(title, columns, rows, [""] * len(rows)))
    return found


def verdicts(records: list[Record]) -> list[str]:
    """What the two questions come to, one sentence for each generator."""
    lines = []
    for record in records:
        name = record["generator"]
        if record["record"] == "rate":
            share = record["above"] / record["images"]
            near, soon = (
                "holds" if is_so else "does not hold" for is_so in (share >= ENOUGH, record["s"] <= LIMIT_S)
            )
            lines.append(
                f"{name}, {record['space']}: {100 * share:.0f} % of {record['images']} above {FOUND_DB:g} dB "
                f"from {record['restarts']} starts in {record['s']:.0f} s; at least {100 * ENOUGH:.0f} % "
                f"{near}, at most {LIMIT_S:.0f} s {soon}."
            )
        else:
            pairs = zip(record["without"], record["with"], strict=True)
            lower = sum(b < a - ROUNDING_DB for a, b in pairs)
            told = "on no image" if lower == 0 else f"on {lower} of {record['images']} images"
            weak = [abs(strength) < NO_STRENGTH for strength in record["strengths"].values()]
            near = f"; learned strength near 0 in {sum(weak)} of {len(weak)} layers" if any(weak) else ""
            lines.append(
                f"{name}: PSNR is lower with the noise optimised, by more than {ROUNDING_DB:g} dB of "
                f"rounding, {told}{near}."
            )
    return lines


def main() -> None:
    options = parsed()
    keep_big_buffers()
    torch.set_num_threads(options.threads)
    setup = {
        **setup_record(options.threads),
        "options": {n: getattr(options, n) for n in SETTINGS},
        "runs": {},
    }
    records: list[Record] = []
    for name in options.networks:
        run = run_of(name, options)
        target = open_target(str(run))
        setup["runs"][name] = {
            "sha256": target.sha256,
            "config": dataclasses.asdict(newest_snapshot(run).config),
        }
        records += rates(name, target, options)
        if noise_layers(target.generator):
            records.append(gain(name, run, target, options))
    most = [r for r in records if r["record"] == "gain" or r["restarts"] == max(options.restarts)]
    records = [setup, *records, {"record": "verdict", "sentences": verdicts(most)}]
    for table in tables(records[1:]):
        print(f"\n{table.title}\n\n{markdown(table)}")
    print("", *records[-1]["sentences"], sep="\n")
    if options.record:
        options.record.parent.mkdir(parents=True, exist_ok=True)
        write_records(options.record, records)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument(
        "--run", nargs="*", default=[], metavar="NAME=FOLDER", help="runs that are there already"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/inversion-rates"), help="folder of runs and pages"
    )
    parser.add_argument("--dcgan-kimg", type=float, default=20.0, help="length of the DCGANs' training")
    parser.add_argument("--stylegan2-kimg", type=float, default=12.0)
    parser.add_argument("--images", type=int, default=64, help="samples to find again")
    parser.add_argument("--restarts", type=int, nargs="+", default=list(RESTARTS))
    parser.add_argument("--steps", type=int, help="for the samples; by default the recipe's")
    parser.add_argument("--digits", type=int, default=16, help="held-out images")
    parser.add_argument("--fit-steps", type=int, nargs="+", help="for these; by default the recipe's")
    parser.add_argument("--batch", type=int, default=64, help="starts at once")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", type=Path, help="write a file of records, such as records.jsonl")
    options = parser.parse_args()
    wrong = [each for each in options.run if each.partition("=")[0] not in NETWORKS or "=" not in each]
    if wrong:
        parser.error(f"--run {wrong[0]}: give NAME=FOLDER, with a name of {', '.join(NETWORKS)}")
    options.run = dict(each.split("=", 1) for each in options.run)
    options.kimg = {"dcgan": options.dcgan_kimg, "stylegan2": options.stylegan2_kimg}
    return options


if __name__ == "__main__":
    main()
