"""Images a second of the extractors, against torch-fidelity's own as shipped, on the same random weights.

Three settings run in processes of their own, in turn, so that a slow spell of the machine meets all:
torch-fidelity's, ours, and ours with the allocator settings that the command takes. Compared features are
from the same weights and images; how far they differ is recorded too.

Run: python benchmarks/bench_extractors.py [--images 64] [--batch 32] [--rounds 3] [--record FILE]
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measuring
import torch
from torch import Tensor

from riemann_noise_pytorch.cli.allocator import keep_big_buffers
from riemann_noise_pytorch.metrics.extractors.choices import make_extractor

THEIRS, OURS, TUNED = "torch-fidelity as shipped", "ours", "ours, allocator keeping big buffers"
SETTINGS = (THEIRS, OURS, TUNED)
OUTPUTS = {"inception": ["2048", "logits_unbiased"], "vgg16": ["fc2_relu"]}


def network(key: str, weights: Path) -> torch.nn.Module:
    """Torch-fidelity's extractor, with weights from a file of ours."""
    from torch_fidelity import FeatureExtractorInceptionV3, FeatureExtractorVGG16

    kind = {"inception": FeatureExtractorInceptionV3, "vgg16": FeatureExtractorVGG16}[key]
    extractor: torch.nn.Module = kind(key, OUTPUTS[key], str(weights))
    return extractor


def random_weights(key: str, path: Path) -> None:
    """Write He-scaled random weights in the published file's format."""
    if key == "vgg16":
        from torchvision.models import vgg16

        torch.save(vgg16(weights=None).state_dict(), path)
        return
    from torch_fidelity import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Keep the random start."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    module = Unloaded(key, OUTPUTS[key], nothing)
    for value in module.parameters():
        if value.ndim > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
    torch.save(module.state_dict(), path)


def measure(key: str, setting: str, weights: Path, options: argparse.Namespace) -> None:
    """Extract here; print images a second, and save the first batch's features beside the weights."""
    torch.set_num_threads(options.threads)
    if setting == TUNED:
        keep_big_buffers()
    images = torch.randint(0, 256, (options.batch, 3, options.size, options.size), dtype=torch.uint8)
    extract: Callable[[Tensor], list[Tensor]]
    if setting == THEIRS:
        theirs = network(key, weights)
        extract = lambda x: list(theirs(x))  # noqa: E731
    else:
        ours = make_extractor(key, weights)
        extract = lambda x: list(ours(x).values())  # noqa: E731
    with torch.no_grad():
        first = extract(images)
        start = time.perf_counter()
        for _ in range(options.images // options.batch):
            extract(images)
        spent = time.perf_counter() - start
    torch.save(first, weights.with_name(f"{SETTINGS.index(setting)}.pth"))
    print(json.dumps(options.images // options.batch * options.batch / spent))


def compare(key: str, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Measure an extractor in all settings, in turn."""
    weights = folder / "weights.pth"
    random_weights(key, weights)
    rates: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    for _ in range(options.rounds):
        for setting, measured in rates.items():
            own = [f"--{name}={getattr(options, name)}" for name in ("images", "batch", "size", "threads")]
            command = [sys.executable, __file__, *own, "--child", key, setting, str(weights)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured.append(json.loads(printed.splitlines()[-1]))
    theirs, *ours = (torch.load(folder / f"{i}.pth", weights_only=True) for i in range(len(SETTINGS)))
    return {
        "extractor": key,
        "images": options.images,
        "batch": options.batch,
        "size": options.size,
        "images_per_s": {setting: round(statistics.median(r), 2) for setting, r in rates.items()},
        "to_theirs": {
            setting: measuring.ratio(rates[setting], rates[THEIRS])
            for setting in SETTINGS
            if setting != THEIRS
        },
        "features_apart": max(
            float((a - b).norm() / b.norm()) for mine in ours for a, b in zip(mine, theirs, strict=True)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extractors", nargs="+", default=["inception"], choices=list(OUTPUTS))
    parser.add_argument("--images", type=int, default=64, help="images of a measurement")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=32, help="pixels of an image before resizing")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each setting")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--record", type=Path, help="file that gets the results as a line of JSON")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        key, setting, weights = options.child
        torch.manual_seed(0)
        measure(key, setting, Path(weights), options)
        return
    results = []
    for key in options.extractors:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(key, options, Path(folder)))
        rates, ratios = results[-1]["images_per_s"], results[-1]["to_theirs"]
        assert isinstance(rates, dict)
        assert isinstance(ratios, dict)
        for setting, rate in rates.items():
            times = f", {ratios[setting]['ratio']:.2f} times as fast" if setting in ratios else ""
            print(f"{key}, {setting}: {rate:.1f} images/s{times}")
        print(f"{key}: features differ by {results[-1]['features_apart']:.1e} of their norm")
    if options.record:
        measuring.record(options.record, options.threads, results=results)


if __name__ == "__main__":
    main()
