"""What the signs of trouble say of the runs of a finished rescue study: which collapses are told, which not.

The lines of every run are read again, tick by tick, as if it were under way, and what is said of it is held
against whether the study found it collapsed. Lines from before they had the spread of real images get that of
the study's data.

Run: python benchmarks/replay_symptoms.py OUT [--record FILE], where OUT is a folder of riemann-noise rescue.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import record

from riemann_noise_pytorch.training.run_folder import RunFolder, load_config
from riemann_noise_pytorch.training.symptoms import SIGNS, Symptoms


@dataclass(frozen=True)
class Replayed:
    """One run, and what is said of it.

    Args:
        method: The study's column.
        collapsed: Whether the study found it collapsed.
        signs: Names of the signs that are told, each once.
    """

    method: str
    collapsed: bool
    signs: frozenset[str]


def first_line(path: Path) -> dict[str, Any]:
    """The first record of a file of records."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    return found


def replay(run: Path, real_spread: float) -> Replayed:
    """Read the lines of one run again."""
    symptoms = Symptoms(load_config(run))
    lines = [{"real_spread": real_spread, **line} for line in RunFolder(run).stats()]
    sentences = [sentence for line in lines for sentence in symptoms.look(line)]
    found = first_line(run / "measurements.jsonl")
    return Replayed(found["method"], found["collapsed"], frozenset(each.split(": ")[1] for each in sentences))


def counts(runs: Iterable[Replayed]) -> dict[str, int]:
    """Runs that collapsed and others, and how many of either are told of."""
    runs = list(runs)
    collapsed, others = ([run for run in runs if run.collapsed is wanted] for wanted in (True, False))
    return {
        "collapsed": len(collapsed),
        "collapsed_told": sum(bool(run.signs) for run in collapsed),
        "others": len(others),
        "others_told": sum(bool(run.signs) for run in others),
    }


def told(found: dict[str, int]) -> str:
    """Counts in words."""
    return (
        f"{found['collapsed_told']} of {found['collapsed']} collapsed runs and "
        f"{found['others_told']} of {found['others']} others"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of a finished rescue study")
    parser.add_argument("--record", type=Path, help="append the counts to this file")
    options = parser.parse_args()
    data = first_line(options.out / "data.jsonl")
    study = first_line(options.out / "records.jsonl")
    finished = sorted(options.out.glob("runs/*/measurements.jsonl"))
    runs = [replay(path.parent, data["std"]) for path in finished]
    whole = counts(runs)
    print(f"told of {told(whole)}")
    signs, methods = {}, {}
    for name in (sign.name for sign in SIGNS):
        by_sign = [run for run in runs if name in run.signs]
        signs[name] = {"collapsed": sum(run.collapsed for run in by_sign), "runs": len(by_sign)}
        print(f"  {name:<26} {signs[name]['runs']:>3} runs, {signs[name]['collapsed']:>3} of them collapsed")
    for method in study["methods"]:
        methods[method] = counts(run for run in runs if run.method == method)
        print(f"  {method:<26} {told(methods[method])}")
    if options.record:
        results = {"study": study["commit"], **whole, "signs": signs, "methods": methods}
        record(options.record, 1, benchmark="symptoms replayed", results=[results])


if __name__ == "__main__":
    main()
