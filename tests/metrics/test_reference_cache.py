"""The cache gives the numbers that a fresh computation gives, whatever has happened to its folder."""

import json
import multiprocessing
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from riemann_noise_pytorch.data.images import TensorImages
from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.metrics import reference_cache
from riemann_noise_pytorch.metrics.feature_sets import Wanted, collect, real_subset, stored
from riemann_noise_pytorch.metrics.reference_cache import default_folder, reference_features
from riemann_noise_pytorch.metrics.reference_file import ReferenceKey
from tests.metrics.stand_ins import PixelSums, in_processes, pictures

MOMENTS = Wanted(moments=frozenset({"columns"}))
ROWS = Wanted(rows=frozenset({"rows"}))
KEY = "riemann_noise_reference"


class Visit:
    """One look into the cache: what it gave, how many images were extracted, what was said."""

    def __init__(self, folder, wanted=MOMENTS, images=None, extractor=None, **settings):
        self.images = images or TensorImages(pictures(30), name="thirty")
        self.extractor = extractor or PixelSums()
        self.said = []
        self.features = reference_features(
            self.images, self.extractor, wanted, folder=folder, say=self.said.append, **settings
        )
        self.extracted = self.extractor.seen
        self.wanted, self.positions = wanted, settings.get("positions")

    def is_right(self):
        fresh = collect(PixelSums(), stored(self.images, self.positions), self.features.count, self.wanted)
        assert fresh.moments.keys() == self.features.moments.keys()
        assert fresh.rows.keys() == self.features.rows.keys()
        for name, moments in fresh.moments.items():
            assert self.features.moments[name].count == moments.count
            assert torch.equal(self.features.moments[name].mean, moments.mean)
            assert torch.equal(self.features.moments[name].scatter, moments.scatter)
        for name, rows in fresh.rows.items():
            assert torch.equal(self.features.rows[name], rows)
        return True


def only_file(folder):
    (path,) = Path(folder).iterdir()
    return path


def test_statistics_are_computed_once(tmp_path):
    folder = tmp_path / "made" / "for us"
    for wanted in (MOMENTS | ROWS, MOMENTS | ROWS):
        visit = Visit(folder, wanted)
        assert visit.is_right()
        assert visit.said == []
    assert visit.extracted == 0


def test_without_a_folder_nothing_is_kept(tmp_path):
    assert Visit(None).extracted == Visit(None).extracted == 30


def test_more_than_is_wanted_serves(tmp_path):
    Visit(tmp_path, MOMENTS | ROWS)
    for wanted in (MOMENTS, ROWS):
        visit = Visit(tmp_path, wanted)
        assert visit.extracted == 0
        assert visit.is_right()


def test_less_than_is_wanted_is_computed_again_with_what_was_there(tmp_path):
    Visit(tmp_path, MOMENTS)
    visit = Visit(tmp_path, ROWS)
    assert visit.extracted == 30
    assert visit.is_right()
    (line,) = visit.said
    assert "computing the statistics of thirty again" in line
    assert "lacks" in line
    assert Visit(tmp_path, MOMENTS | ROWS).extracted == 0


def test_everything_the_numbers_depend_on_has_its_own_file(tmp_path):
    class Other(PixelSums):
        weights_sha256 = "ab" * 32

    class Newer(PixelSums):
        formula = 2

    filtered = TensorImages(pictures(30))
    filtered.resize_filter = "lanczos"
    labelled = TensorImages(pictures(30), labels=torch.arange(30))
    wide = TensorImages(pictures(30).transpose(2, 3).contiguous())
    kinds = [
        {},
        {"extractor": Other()},
        {"extractor": Newer()},
        {"images": TensorImages(pictures(30, seed=1))},
        {"images": TensorImages(pictures(29))},
        {"images": filtered},
        {"images": labelled},
        {"positions": real_subset(30, 20, seed=0)},
        {"positions": real_subset(30, 20, seed=1)},
    ]
    for kind in kinds:
        visit = Visit(tmp_path, **kind)
        assert visit.extracted > 0
        assert visit.is_right()
    assert len(list(tmp_path.iterdir())) == len(kinds)
    extractor = PixelSums()
    assert ReferenceKey.of(wide, extractor) != ReferenceKey.of(TensorImages(pictures(30)), extractor)


def test_names_and_a_part_that_is_all_are_not_part_of_the_key(tmp_path):
    Visit(tmp_path)
    again = Visit(
        tmp_path, images=TensorImages(pictures(30), name="other"), positions=real_subset(30, 50, seed=9)
    )
    assert again.extracted == 0


def rewritten(path, change):
    """Write the file again with other metadata or other tensors, as a sound safetensors file."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    content = json.loads(metadata[KEY])
    change(content, tensors)
    save_file(tensors, path, {KEY: json.dumps(content)})


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("no tensors here")


def folder_instead(path):
    path.unlink()
    path.mkdir()


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))


def without_metadata(path):
    save_file(load_file(path), path)


def metadata_is_no_json(path):
    save_file(load_file(path), path, {KEY: "{"})


def metadata_is_a_list(path):
    save_file(load_file(path), path, {KEY: "[]"})


def newer(path):
    rewritten(path, lambda content, tensors: content.update(format_version=99))


def of_another_key(path):
    rewritten(path, lambda content, tensors: content["key"].update(content="0" * 64))


def without_key(path):
    rewritten(path, lambda content, tensors: content.pop("key"))


def of_another_shape(path):
    def change(content, tensors):
        tensors["moments/columns/scatter"] = torch.zeros(3, 3, dtype=torch.float64)

    rewritten(path, change)


def without_a_tensor(path):
    rewritten(path, lambda content, tensors: tensors.pop("moments/columns/scatter"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "is damaged"),
        (empty, "is damaged"),
        (text, "is damaged"),
        (flipped, "is not what was written"),
        (without_metadata, "not written by this package"),
        (metadata_is_no_json, "is damaged"),
        (metadata_is_a_list, "not written by this package"),
        (newer, "has format 99, not 1"),
        (of_another_key, "belongs to other images"),
        (without_key, "belongs to other images"),
        (of_another_shape, "is not what was written"),
        (without_a_tensor, "does not hold the tensors it lists"),
    ],
)
def test_a_file_that_cannot_serve_is_built_again_and_that_is_said(tmp_path, spoil, reason):
    Visit(tmp_path)
    path = only_file(tmp_path)
    spoil(path)
    visit = Visit(tmp_path)
    assert visit.extracted == 30
    assert visit.is_right()
    (line,) = visit.said
    assert line.startswith(f"computing the statistics of thirty again: {path} ")
    assert reason in line
    assert "\n" not in line
    assert Visit(tmp_path).extracted == 0


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_answer(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    visit = Visit(occupied / "cache")
    assert visit.is_right()
    assert any("the statistics of thirty are not kept: cannot write" in line for line in visit.said)


def test_a_full_disk_costs_the_file_and_not_the_answer(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("riemann_noise_pytorch.metrics.reference_file.save_file", full)
    visit = Visit(tmp_path)
    assert visit.is_right()
    assert visit.said == [line for line in visit.said if "No space left on device" in line] != []
    assert list(tmp_path.iterdir()) == []


def test_something_that_is_no_file_stands_in_the_way(tmp_path):
    Visit(tmp_path)
    folder_instead(only_file(tmp_path))
    visit = Visit(tmp_path)
    assert visit.is_right()
    assert [line.split(":")[0] for line in visit.said] == [
        "computing the statistics of thirty again",
        "the statistics of thirty are not kept",
    ]


def test_a_file_that_is_being_written_is_not_seen(tmp_path, monkeypatch):
    writers, meanwhile = [], []

    def interrupted(tensors, path, metadata):
        save_file(tensors, path, metadata)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        writers.append(path)
        if len(writers) == 1:
            meanwhile.append(Visit(tmp_path))
        path.write_bytes(content)

    monkeypatch.setattr("riemann_noise_pytorch.metrics.reference_file.save_file", interrupted)
    assert Visit(tmp_path).said == meanwhile[0].said == []
    assert meanwhile[0].is_right()
    assert Visit(tmp_path).extracted == 0


def writer(folder, start, wanted):
    start.wait()
    for _ in range(5):
        for path in Path(folder).glob("reference-*"):
            path.unlink(missing_ok=True)
        visit = Visit(folder, wanted)
        assert visit.is_right()
        assert not [line for line in visit.said if "damaged" in line], visit.said


def test_concurrent_writers_leave_a_whole_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    other = context.Process(target=writer, args=(tmp_path, start, ROWS))
    other.start()
    start.set()
    while other.is_alive():
        writer(tmp_path, start, MOMENTS)
    other.join(timeout=60)
    assert other.exitcode == 0
    visit = Visit(tmp_path, MOMENTS | ROWS)
    assert visit.is_right()
    assert not [line for line in visit.said if "damaged" in line]
    assert only_file(tmp_path).name.startswith("reference-")


@pytest.mark.parametrize("world_size", [2, 3])
def test_all_processes_read_what_the_first_reads(tmp_path, world_size, monkeypatch):
    monkeypatch.setattr(reference_cache, "CHUNK_MIB", 1e-4)
    wanted = MOMENTS | ROWS
    folders = [tmp_path / "first", *[tmp_path / f"elsewhere {rank}" for rank in range(1, world_size)]]
    for expected in (30, 0):
        visits = in_processes(
            world_size,
            lambda processes: Visit(folders[processes.rank], wanted, processes=processes),
        )
        for visit in visits:
            first = visits[0].features
            assert torch.equal(visit.features.rows["rows"], first.rows["rows"])
            assert torch.equal(visit.features.moments["columns"].mean, first.moments["columns"].mean)
            assert torch.equal(visit.features.moments["columns"].scatter, first.moments["columns"].scatter)
        assert sum(visit.extracted for visit in visits) == expected
    assert visits[0].features.rows["rows"].tolist() == Visit(None, ROWS).features.rows["rows"].tolist()
    assert [folder.exists() for folder in folders] == [True] + [False] * (world_size - 1)


def test_all_processes_compute_the_union(tmp_path):
    Visit(tmp_path, ROWS)
    visits = in_processes(2, lambda processes: Visit(tmp_path, MOMENTS, processes=processes))
    assert [visit.extracted for visit in visits] == [15, 15]
    assert [len(visit.said) for visit in visits] == [1, 0]
    assert [list(visit.features.rows) for visit in visits] == [[], []]
    assert Visit(tmp_path, MOMENTS | ROWS).extracted == 0


def test_no_process_waits_when_the_first_cannot_read_the_images(tmp_path):
    class Damaged(TensorImages):
        def batch(self, indices):
            raise InputError("image 3 is damaged; replace it")

    def work(processes):
        return Visit(tmp_path, images=Damaged(pictures(30)), processes=processes)

    first, second = in_processes(2, work)
    assert str(first) == "image 3 is damaged; replace it"
    assert str(second) == "process 0 of 2 cannot read the real images; its own message says why"


def test_unknown_outputs_are_refused_before_the_set_is_read(tmp_path):
    with pytest.raises(InputError, match="did you mean 'columns'"):
        Visit(tmp_path, Wanted(frozenset({"column"})))
    with pytest.raises(InputError, match="no output"):
        Visit(tmp_path, Wanted())


def test_the_cache_is_where_caches_are(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "riemann-noise"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_folder() == Path("/home/someone/.cache/riemann-noise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path("/home/someone/.cache/riemann-noise")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_folder() == tmp_path / "local" / "riemann-noise"


def test_a_user_without_a_home_is_told(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="name a cache folder"):
        default_folder()
