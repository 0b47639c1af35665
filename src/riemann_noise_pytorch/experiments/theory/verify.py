"""All statements, one after the other: what is done first is on disk before the next begins."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from riemann_noise_pytorch.experiments.records import Record, setup_record, write_records
from riemann_noise_pytorch.experiments.theory.expansions import theorem2, theorem3
from riemann_noise_pytorch.experiments.theory.expectations import theorem5
from riemann_noise_pytorch.experiments.theory.jacobians import definition1
from riemann_noise_pytorch.experiments.theory.options import TheoryConfig
from riemann_noise_pytorch.experiments.theory.premises import equation15
from riemann_noise_pytorch.experiments.theory.ranks import lemma1, lemma2
from riemann_noise_pytorch.experiments.theory.skeletons import theorem4
from riemann_noise_pytorch.experiments.theory.statement import Statement
from riemann_noise_pytorch.experiments.theory.trap import theorem1

STATEMENTS: dict[str, Callable[[TheoryConfig], Statement]] = {
    "Definition 1": definition1,
    "Lemma 1": lemma1,
    "Lemma 2": lemma2,
    "Theorem 1": theorem1,
    "Theorem 2": theorem2,
    "Theorem 3": theorem3,
    "Theorem 4": theorem4,
    "Theorem 5": theorem5,
    "Eq. 15": equation15,
}
"""In the order of the paper."""
RECORDS = "records.jsonl"

Report = Callable[[str, int, int], object]
Tell = Callable[[Statement], object]


def verify_theory(
    config: TheoryConfig,
    out: Path,
    *,
    report: Report | None = None,
    tell: Tell | None = None,
) -> list[Statement]:
    """Hold every statement against its experiment, and record what was found.

    Meanwhile torch computes with one thread: arrays are so small that a second one costs more than it does.

    Args:
        config: The options.
        out: Folder of ``records.jsonl``, which is written anew after each statement.
        report: Called as ``report(name, done, total)`` before each statement.
        tell: Called with each statement when its experiment is done.

    Returns:
        The statements, in the order of the paper; those that do not hold among them.

    Raises:
        InputError: An option cannot be used, or the records cannot be written.
    """
    config.validate()
    with _one_thread():
        return list(_tried(config, out, report, tell))


def _tried(config: TheoryConfig, out: Path, report: Report | None, tell: Tell | None) -> Iterator[Statement]:
    records = [_setup(config)]
    for number, (name, experiment) in enumerate(STATEMENTS.items()):
        if report is not None:
            report(name, number, len(STATEMENTS))
        start = time.perf_counter()
        statement = experiment(config)
        first, *curves = statement.records()
        records += [{**first, "seconds": round(time.perf_counter() - start, 2)}, *curves]
        write_records(out / RECORDS, records)
        if tell is not None:
            tell(statement)
        yield statement


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def _setup(config: TheoryConfig) -> Record:
    return {
        **setup_record(torch.get_num_threads()),
        "options": {
            "quick": config.quick,
            "seed": config.seed,
            "trap": config.trap.name if config.trap else None,
            "run": config.run.name if config.run else None,
        },
    }
