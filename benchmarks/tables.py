"""Print the tables of docs/performance.md from the newest records in benchmarks/results.

Run: python benchmarks/tables.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def newest(name: str) -> dict[str, dict[str, Any]]:
    """The newest result of every case in a file of records, by what the case is."""
    found = {}
    for line in (RESULTS / f"{name}.jsonl").read_text().splitlines():
        for result in json.loads(line)["results"]:
            case = ("shape", "dtype", "generator", "size", "resolution", "batch", "allocator", "measure")
            found["|".join(str(result[key]) for key in case if key in result)] = result
    return found


def injection_table(result: dict[str, Any]) -> str:
    """What each kind of noise costs at one shape, in copies of the feature map."""
    rows = [
        "| noise | forward | must | forward and backward | must | maps kept |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, row in result["kinds"].items():
        cells = [f"{row[name]['ratio']:.2f}" for name in ("forward", "both")]
        must = [f"{row[name]:.1f}" for name in ("must_forward", "must_both")]
        rows.append(f"| {kind} | {cells[0]} | {must[0]} | {cells[1]} | {must[1]} | {row['saved_maps']:.2f} |")
    return "\n".join(rows)


def training_table() -> str:
    """What noise adds to a training step."""
    rows = [
        "| generator | size | allocator | Euclidean, ms a step | none | neutral | paper |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in newest("noise-training-cpu").values():
        ratios = result["to_euclidean"]
        cells = [
            f"{100 * (ratios[arm]['ratio'] - 1):+.0f} % ({100 * (ratios[arm]['low'] - 1):+.0f} to "
            f"{100 * (ratios[arm]['high'] - 1):+.0f})"
            for arm in ("none", "neutral", "paper")
        ]
        rows.append(
            f"| {result['generator']} | {result['size']} | {result['allocator']} | "
            f"{result['euclidean_ms']:.1f} | {' | '.join(cells)} |"
        )
    return "\n".join(rows)


def stylegan2_table(result: dict[str, Any]) -> str:
    """What StyleGAN2's training reaches at one size."""
    rows = [
        "| arm | seconds per 1000 images | share of the float32 peak | to Euclidean |",
        "| --- | ---: | ---: | ---: |",
    ]
    for arm, row in result["arms"].items():
        share = f"{100 * row['share_of_float32_peak']:.1f} %"
        rows.append(f"| {arm} | {row['s_per_kimg']} | {share} | {row['to_first']:.3f} |")
    return "\n".join(rows)


def convolution_table() -> str:
    """How many times as long torch's 3x3 convolution takes as Winograd's way, and what either rounds off."""
    rows = [
        "| precision | features | forward | by features | by kernel | limit | rounding | torch's |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in newest("convolution-cpu").values():
        operations = result["operations"]
        cells = [f"{row['torch_to_ours']['ratio']:.2f}" for row in operations.values()]
        forward = operations["forward"]
        cells += [f"{forward['limit']:.2f}", *(f"{error:.0e}" for error in forward["error"])]
        size = " x ".join(map(str, result["shape"]))
        rows.append(f"| {result['dtype']} | {size} | {' | '.join(cells)} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """What the statistics of features cost, beside those of others."""
    rows = ["| statistic | case | seconds | to ours |", "| --- | --- | ---: | ---: |"]
    for result in newest("metrics-cpu").values():
        for case, row in result["cases"].items():
            rows.append(f"| {result['measure']} | {case} | {row['s']:.2f} | {row['to_ours']['ratio']:.2f} |")
    return "\n".join(rows)


def regularizers_table(results: list[dict[str, Any]]) -> str:
    """What a penalty costs, eager and lazy, in steps without one."""
    heads = [f"{result['network']}, {when}" for result in results for when in ("eager", "lazy")]
    rows = [f"| regularizer | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name in results[0]["regularizers"]:
        costs = [result["regularizers"][name][when] for result in results for when in ("eager", "lazy")]
        cells = [f"{cost['ratio']:.2f} ({cost['low']:.2f} to {cost['high']:.2f})" for cost in costs]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def tables() -> dict[str, str]:
    """All tables, by what they show."""
    shown = {
        f"{' x '.join(map(str, r['shape']))}, {r['dtype']}, allocator {r['allocator']}": injection_table(r)
        for r in newest("injection-cpu").values()
    }
    shown |= {
        f"stylegan2 {r['resolution']}x{r['resolution']}, allocator {r['allocator']}": stylegan2_table(r)
        for r in newest("stylegan2-cpu").values()
    }
    shown["convolution"] = convolution_table()
    shown["regularizers"] = regularizers_table(list(newest("regularizers-cpu").values()))
    return shown | {"training": training_table(), "metrics": metrics_table()}


def main() -> None:
    for title, table in tables().items():
        print(f"{title}\n\n{table}\n")


if __name__ == "__main__":
    main()
