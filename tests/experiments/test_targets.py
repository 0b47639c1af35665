"""A word or path is found out to be a run, a snapshot, images or a callable, or is refused in one line."""

import pytest
import torch
from torch import nn

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.targets import Target, open_target, weights_sha256
from riemann_noise_pytorch.models.latent_space import labels_for
from riemann_noise_pytorch.training.checkpoints import list_snapshots, load_generator
from tests.data.pictures import write_folder
from tests.experiments.evaluation.networks import Tiny

OWN = """
import torch
from torch import nn
from tests.experiments.evaluation.networks import Tiny

tiny = Tiny()
tiny.train()
plain = nn.Linear(4, 4)
number = 3

class Class(nn.Module):
    z_dim = 4

def function(z):
    return z.view(-1, 1, 2, 2)

def told(z):
    return z.view(-1, 1, 2, 2)

told.z_dim = 4
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own_module_of_a_test.py").write_text(OWN)


def test_a_run_is_its_last_snapshot_its_best_or_the_one_named(measured_run):
    run_dir, told = measured_run
    last = open_target(str(run_dir))
    assert (last.kind, last.snapshot, last.images_seen) == ("run", "00000096.safetensors", 96)
    assert last.sha256 == weights_sha256(load_generator(run_dir)) == told[-1][0].target["sha256"]
    assert last.config.data == "digits"
    assert not last.module.training
    best = open_target(str(run_dir), snapshot="best")
    assert best.snapshot == "best.safetensors"
    named = open_target(str(run_dir), snapshot=list_snapshots(run_dir)[-1].name)
    assert named.sha256 == last.sha256
    raw = open_target(str(run_dir), which="raw")
    assert raw.sha256 == weights_sha256(load_generator(run_dir, which="raw")) != last.sha256


def test_a_snapshot_is_itself(measured_run):
    run_dir, _ = measured_run
    path = list_snapshots(run_dir)[-1]
    target = open_target(str(path))
    assert (target.kind, target.snapshot, target.z_dim) == ("snapshot", path.name, 100)
    assert target.sha256 == open_target(str(run_dir)).sha256


def test_images_are_a_built_in_set_a_folder_or_an_archive(tmp_path):
    write_folder(tmp_path / "pictures", ["a.png", "b.png"], height=16, width=16, channels=1)
    (tmp_path / "pictures.zip").write_bytes(b"")
    for given in ("digits", "manifold-8", tmp_path / "pictures", tmp_path / "pictures.zip"):
        target = open_target(str(given))
        assert (target.kind, target.module, target.classes) == ("images", None, 0)


@pytest.mark.parametrize("home", ["own.py", "./own.py", "own_module_of_a_test"])
def test_a_callable_is_of_a_file_or_a_module(own, home):
    tiny = open_target(f"{home}:tiny")
    assert (tiny.kind, tiny.z_dim, tiny.sha256) == ("callable", 6, weights_sha256(Tiny()))
    assert not tiny.module.training
    assert open_target(f"{home}:told").z_dim == 4
    assert open_target(f"{home}:plain", z_dim=4).module is not None
    function = open_target(f"{home}:function", z_dim=4)
    assert function.module is None
    assert len(function.sha256) == 64


@pytest.mark.parametrize(
    ("given", "z_dim", "words"),
    [
        ("own.py:Class", None, "own.py:Class is no callable from latents to images"),
        ("own.py:number", None, "own.py:number is no callable"),
        ("own.py:functoin", None, "unknown callable in own.py 'functoin'; did you mean 'function'?"),
        ("own.py:", None, "unknown callable in own.py ''"),
        ("own.py:function", None, "does not tell the size of its latents; give --z-dim"),
        ("own.py:function", 0, "give --z-dim, 1 or more"),
        ("own.py:tiny", 7, "z_dim is 7, but own.py:tiny says 6"),
        ("own.py", None, "give the name of a callable in it, as own.py:NAME"),
        ("empty.py:f", None, "has no 'f', nor any function or module"),
        ("nowhere.py:f", None, "there is no file nowhere.py"),
        ("nothing_of_the_kind:f", None, "cannot be imported"),
        ("torch:no_such_name", None, "torch"),
        ("nowhere", None, "there is nothing at nowhere; give a run folder"),
        ("nowhere.safetensors", None, "there is no snapshot nowhere.safetensors"),
        ("digits", 4, "digits is a set of images, for which --z-dim has no meaning"),
    ],
)
def test_what_is_no_target_is_refused_in_one_line(own, tmp_path, given, z_dim, words):
    (tmp_path / "empty.py").write_text("import torch\nfrom torch import nn\n")
    with pytest.raises(InputError) as caught:
        open_target(given, z_dim=z_dim)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ("run", {"z_dim": 3}, "is a run, for which --z-dim has no meaning"),
        ("run", {"snapshot": "00000001.safetensors"}, "there is no snapshot"),
        ("run", {"snapshot": "best", "which": "raw"}, "best.safetensors holds the average alone"),
        ("snapshot", {"snapshot": "best"}, "is a snapshot, for which --snapshot has no meaning"),
        ("snapshot", {"z_dim": 100}, "is a snapshot, for which --z-dim"),
        ("digits", {"which": "raw"}, "is a set of images, for which --which"),
        ("own.py:tiny", {"snapshot": "best"}, "is a callable, for which --snapshot"),
    ],
)
def test_options_without_meaning_are_refused(own, measured_run, given, options, words):
    run_dir, _ = measured_run
    places = {"run": run_dir, "snapshot": list_snapshots(run_dir)[-1]}
    with pytest.raises(InputError, match=words):
        open_target(str(places.get(given, given)), **options)


def test_a_run_that_was_not_measured_has_no_best(measured_run, tmp_path):
    (tmp_path / "config.json").write_text((measured_run[0] / "config.json").read_text())
    with pytest.raises(InputError, match=r"has no best.safetensors"):
        open_target(str(tmp_path), snapshot="best")
    with pytest.raises(InputError, match="holds no snapshots"):
        open_target(str(tmp_path))


def test_the_best_average_has_no_raw_weights(measured_run):
    with pytest.raises(InputError) as caught:
        open_target(str(measured_run[0] / "best.safetensors"), which="raw")
    assert "best.safetensors holds the average alone; leave --which raw out" in str(caught.value)
    assert "\n" not in str(caught.value)


def raises(_):
    raise OSError


@pytest.mark.parametrize("classes", [["cat", "dog"], "ten", 2.5, None, True, -3, property(raises), {}])
def test_classes_that_are_no_number_are_none(classes):
    kind = type("Named", (nn.Identity,), {"classes": classes})
    assert Target("named", "callable", kind(), 4).classes == 0
    assert labels_for(kind(), None, 0) == (None, "")


@pytest.mark.parametrize("classes", [3, torch.tensor(3), property(lambda _: 3)])
def test_classes_are_any_whole_number(classes):
    kind = type("Counted", (nn.Identity,), {"classes": classes})
    assert Target("counted", "callable", kind(), 4).classes == 3
    labels, name = labels_for(kind(), None, 0)
    assert (int(labels(0, 100).max()), name) == (2, "uniform labels")


def test_the_hash_of_weights_knows_names_types_and_values():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.load_state_dict(first.state_dict())
    assert weights_sha256(first) == weights_sha256(second)
    assert weights_sha256(first) != weights_sha256(nn.Sequential(second))
    second.weight.data[0, 0] += 1e-6
    assert weights_sha256(first) != weights_sha256(second)
    counter = nn.BatchNorm2d(2)
    before = weights_sha256(counter)
    counter(torch.zeros(2, 2, 4, 4))
    assert weights_sha256(counter) != before
