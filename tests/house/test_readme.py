"""What the README shows, runs."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

SEED = """
import torch
from riemann_noise_pytorch import RiemannNoise

class Generator(torch.nn.Module):
    def __init__(self):
        ...
        self.riemann_noise = RiemannNoise(128, torch.device("cuda"))
        ...
    def forward(self, x):
        out = self.DownBlock(x)
        out = self.resblock(out)
        out = self.riemann_noise(out)
        out = self.UpBlock(out)
        return out
"""
STUBS = """super().__init__()
        self.DownBlock = torch.nn.AvgPool2d(2)
        self.resblock = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.UpBlock = torch.nn.Upsample(scale_factor=2)"""


def completed(snippet: str, device: str) -> str:
    """The seed's snippet with its first dots filled in, on a device."""
    return snippet.replace("...", STUBS, 1).replace('torch.device("cuda")', f'torch.device("{device}")')


def is_seed(block: str) -> bool:
    return "self.DownBlock(x)" in block


def run(code: str) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), namespace)
    return namespace


def through(snippet: str, device: str) -> None:
    generator = run(completed(snippet, device))["Generator"]().to(device)  # type: ignore[operator]
    x = torch.randn(2, 4, 256, 256, device=device, requires_grad=True)
    out = generator(x)
    assert out.shape == x.shape
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


def test_the_seed_snippet_runs_on_the_cpu() -> None:
    through(SEED, "cpu")


@pytest.mark.gpu
def test_the_seed_snippet_runs_as_it_is_written() -> None:
    through(SEED, "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_the_seed_snippet_gets_torchs_own_error_and_a_remedy() -> None:
    generator = run(completed(SEED, "cuda"))["Generator"]
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)nvidia|cuda") as caught:
        generator()  # type: ignore[operator]
    assert "cpu" in " ".join(caught.value.__notes__)


def test_the_readme_shows_the_snippet_of_the_seed() -> None:
    assert any(is_seed(block) for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_python_block_of_the_readme_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if is_seed(block):
        through(block, device)
    else:
        run(block.replace('torch.device("cuda")', f'torch.device("{device}")'))


def test_the_commands_of_the_documents_exist() -> None:
    from riemann_noise_pytorch.cli.main import VERBS

    texts = [
        README,
        (ROOT / "CONTRIBUTING.md").read_text(),
        *(p.read_text() for p in (ROOT / "docs").glob("*.md")),
    ]
    verbs = {
        verb for text in texts for verb in re.findall(r"^\s*riemann-noise ([a-z-]+)", text, re.MULTILINE)
    }
    targets = {name for text in texts for name in re.findall(r"`?make ([a-z-]+)`", text)}
    assert verbs <= set(VERBS)
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
