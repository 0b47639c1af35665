"""Stopping and going on: what is written in the end is the same, byte for byte."""

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from riemann_noise_pytorch.errors import InputError, Interrupted
from riemann_noise_pytorch.experiments.inversion import unfinished
from tests.experiments.inversion.subjects import (
    conditional,
    dcgan,
    inverted,
    pixels_of,
    stylegan2,
    target_of,
    write_pictures,
)

MINUTELY = {"make": stylegan2, "recipe": "stylegan2-projector", "steps": (6,), "batch": 2}
CASES = {
    "latents, then noise": {"make": stylegan2, "steps": (6, 5), "restarts": 2, "batch": 4, "patience": 3},
    "several starts": {"make": dcgan, "steps": (8,), "batch": 8},
    "noise with the latents": MINUTELY,
    "averaged noise": {"make": dcgan, "steps": (4,), "noise": "averaged"},
    "no noise": {"make": lambda: dcgan("none"), "steps": (9,)},
    "classes": {"make": conditional, "steps": (5,), "labels": (0, 1, 2), "space": "w"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures") / "in", pixels_of())


def stopping(after, kind=signal.SIGTERM, only=""):
    """A report that sends a signal at a call of this number, of those about a stage."""
    calls = []

    def report(stage, *_):
        calls.extend([1] * stage.startswith(only))
        if len(calls) == after:
            os.kill(os.getpid(), kind)

    return report


def contents(out):
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_inversion_equals_an_uninterrupted_one_byte_for_byte(name, folder, tmp_path):
    options = dict(CASES[name])
    target, calls = options.pop("make")(), []
    inverted(target, [folder], tmp_path / "whole", report=lambda *_: calls.append(1), **options)
    whole = contents(tmp_path / "whole")
    for after in (len(calls) // 3, 2 * len(calls) // 3, len(calls)):
        out = tmp_path / f"stopped{after}"
        with pytest.raises(Interrupted, match=r"give the same command with --resume to go on"):
            inverted(target, [folder], out, report=stopping(after), **options)
        assert not (out / "inversion.jsonl").exists()
        inverted(target, [folder], out, resume=True, **options)
        assert contents(out) == whole, after


def test_an_inversion_can_be_stopped_over_and_over(folder, tmp_path):
    target, options = stylegan2(), {"steps": (5, 4)}
    inverted(target, [folder], tmp_path / "whole", **options)
    out = tmp_path / "out"
    for attempt in range(20):
        try:
            inverted(
                target, [folder], out, resume=attempt > 0, report=stopping(2, only="inversion"), **options
            )
            break
        except Interrupted:
            continue
    assert 3 < attempt < 19
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_is_told_by_its_exit_code_and_handlers_are_put_back(kind, code, folder, tmp_path):
    before = signal.getsignal(kind)
    with pytest.raises(Interrupted) as caught:
        inverted(dcgan(), [folder], tmp_path / "out", steps=(9,), report=stopping(3, kind))
    assert caught.value.exit_code == code
    assert signal.getsignal(kind) is before
    assert "\n" not in str(caught.value)


def test_the_state_is_kept_from_time_to_time_and_survives_a_sudden_death(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "EVERY_S", 0.0)
    target, options = dcgan(), {"steps": (8,), "batch": 4}
    inverted(target, [folder], tmp_path / "whole", **options)
    out = tmp_path / "out"

    def dies(stage, done, total):
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inverted(target, [folder], out, report=dies, **options)
    state = load_file(out / "unfinished-inversion.safetensors")
    assert state["state/position"].tolist() == [0, 1, 2]
    assert not list(out.glob(".*"))
    inverted(target, [folder], out, resume=True, **options)
    assert contents(out) == contents(tmp_path / "whole")


def test_nothing_unfinished_is_left_behind(folder, tmp_path):
    inverted(stylegan2(), [folder], tmp_path / "out", steps=(3,))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "inversion.json",
        "inversion.jsonl",
        "inversion.safetensors",
        "pictures.safetensors",
        "reconstructions",
    }


def test_what_is_finished_is_not_done_again(folder, tmp_path):
    target, said = dcgan(), []
    inverted(target, [folder], tmp_path / "out", steps=(3,))
    before = contents(tmp_path / "out")
    inverted(target, [folder], tmp_path / "out", steps=(3,), resume=True, report=1 / 1, say=said.append)
    assert contents(tmp_path / "out") == before
    assert "finished already" in said[0]


def test_a_folder_with_something_in_it_or_with_nothing_to_resume_is_refused(folder, tmp_path):
    target = dcgan()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists and is not empty; choose another --out"):
        inverted(target, [folder], tmp_path / "out", steps=(3,))
    with pytest.raises(InputError, match="holds no inversion to resume"):
        inverted(target, [folder], tmp_path / "out", steps=(3,), resume=True)


def test_another_inversion_is_not_resumed(folder, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        inverted(dcgan(), [folder], out, steps=(9,), report=stopping(3))
    for changes, told in (({"steps": (8,)}, "another steps"), ({"steps": (9,), "seed": 1}, "another seed")):
        with pytest.raises(InputError, match=told):
            inverted(dcgan(), [folder], out, resume=True, **changes)
    with pytest.raises(InputError, match="another target"):
        inverted(target_of(dcgan().generator, "1"), [folder], out, steps=(9,), resume=True)
    with pytest.raises(InputError, match="another images"):
        inverted(dcgan(), [folder / "0.png"], out, steps=(9,), resume=True)
    write_pictures(folder, pixels_of(seed=7))
    try:
        with pytest.raises(InputError, match="the state is of another inversion"):
            inverted(dcgan(), [folder], out, steps=(9,), resume=True)
    finally:
        write_pictures(folder, pixels_of())


def test_a_damaged_state_is_refused_in_one_line(folder, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        inverted(dcgan(), [folder], out, steps=(9,), report=stopping(3))
    path = out / "unfinished-inversion.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"is damaged .*; remove it and --resume") as caught:
        inverted(dcgan(), [folder], out, steps=(9,), resume=True)
    assert "\n" not in str(caught.value)


def test_what_is_refused_leaves_no_folder(folder, tmp_path):
    for options in ({"space": "w"}, {"labels": (0,)}, {"mask": folder / "none.png"}, {"steps": (1, 2, 3)}):
        with pytest.raises(InputError):
            inverted(dcgan(), [folder], tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()


def test_options_are_written_down(folder, tmp_path):
    inverted(dcgan(), [folder], tmp_path / "out", steps=(2,), mask=folder / "0.png")
    options = json.loads((tmp_path / "out/inversion.json").read_text())
    assert (options["steps"], options["mask"]) == ([2], str(folder / "0.png"))
    assert torch.tensor(options["draws"]) == 2
