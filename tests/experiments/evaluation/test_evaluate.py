"""Numbers are those of the metrics themselves, at any batch and in any processes; what is done stays done."""

from types import SimpleNamespace

import pytest
import torch

from riemann_noise_pytorch.data.imageset import MirroredImages, TensorImages
from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.experiments.evaluation import evaluate as evaluate_module
from riemann_noise_pytorch.experiments.evaluation import plan as plan_module
from riemann_noise_pytorch.experiments.evaluation.drawing import Draws
from riemann_noise_pytorch.experiments.evaluation.evaluate import evaluate
from riemann_noise_pytorch.experiments.evaluation.metric_files import metric_path, read_evaluations
from riemann_noise_pytorch.experiments.evaluation.options import EvaluateConfig
from riemann_noise_pytorch.experiments.targets import Target, weights_sha256
from riemann_noise_pytorch.geometry.condition import condition_numbers
from riemann_noise_pytorch.metrics.distances import PyramidDistance
from riemann_noise_pytorch.metrics.extractors.random_conv import RandomConv
from riemann_noise_pytorch.metrics.feature_sets import Wanted, collect, real_subset, stored
from riemann_noise_pytorch.metrics.frechet import frechet_distance
from riemann_noise_pytorch.metrics.inception_score import inception_score
from riemann_noise_pytorch.metrics.kernel_distance import kernel_distance
from riemann_noise_pytorch.metrics.perceptual_path import perceptual_path_length
from riemann_noise_pytorch.metrics.precision_recall import precision_recall
from riemann_noise_pytorch.metrics.sliced_wasserstein import RealPatches
from riemann_noise_pytorch.models.latent_space import uniform_labels
from riemann_noise_pytorch.seeds import derive
from tests.data.pictures import write_folder
from tests.experiments.evaluation.networks import Classes, Foreign, Mapped, Tiny, target_of
from tests.metrics.stand_ins import PixelSums, in_processes
from tests.training.runs import blobs

ALL = "fd240,swd100,ppl2_100_zfull,mc100_z"


class Small(PixelSums):
    """Stands for Inception with weights that are not the published ones: quick, and of few features."""

    key, name, official, weights_sha256 = (
        "inception",
        "Inception with weights 1a2b3c4d",
        False,
        "1a2b3c4d" * 8,
    )
    dimensions = {"pool3": 5, "logits_unbiased": 5}  # noqa: RUF012

    def features_of(self, images):
        self.seen += len(images)
        pixels = images.float() / 255
        places = [pixels[:, 0, i::4, i::3].mean(dim=(1, 2)) for i in range(3)]
        features = torch.stack([*places, pixels.mean(dim=(1, 2, 3)), pixels.std(dim=(1, 2, 3))], dim=1)
        return {"pool3": features, "logits_unbiased": 9 * features}


@pytest.fixture
def small_extractor(monkeypatch):
    extractor = Small()
    monkeypatch.setattr(plan_module, "make_extractor", lambda *_, **__: extractor)
    return extractor


@pytest.fixture
def counted(monkeypatch):
    """Count the images that the weight-free extractor looks at."""
    seen, original = [], RandomConv.features_of

    def features_of(self, images):
        seen.append(len(images))
        return original(self, images)

    monkeypatch.setattr(RandomConv, "features_of", features_of)
    return seen


def measure(generator=None, metrics=ALL, *, target=None, images=None, **options):
    given = {
        name: options.pop(name) for name in ("out", "resume", "say", "tell", "processes") if name in options
    }
    config = EvaluateConfig(metrics=metrics, **{"redraws": 1, **options})
    images = blobs() if images is None else images
    return evaluate(target or target_of(generator or Tiny()), config, images=images, **given)


def results(*arguments, **options):
    return {name: value for each in measure(*arguments, **options) for name, value in each.results.items()}


def drawn(generator, redraw=0, seed=0, **options):
    return Draws(target_of(generator), derive(seed, "redraw", redraw), **options)


def test_numbers_are_those_of_the_metrics_called_directly():
    generator, real = Tiny(), blobs()
    found = results(generator, seed=3)
    moments = Wanted(moments=frozenset({"features"}))
    fakes = collect(RandomConv(), drawn(generator, seed=3), 240, moments).moments["features"]
    reals = collect(RandomConv(), stored(real, real_subset(256, 240, 3)), 240, moments).moments["features"]
    swd = RealPatches(real.batch(real_subset(256, 100, 3))).distance(drawn(generator, seed=3)(0, 100))
    same = {"num_pairs": 100, "dtype": torch.float64, "seed": 3}
    path = perceptual_path_length(generator, distance=PyramidDistance(), **same)
    condition = condition_numbers(generator, **same)
    assert found == {
        "fd240": pytest.approx(frechet_distance(fakes, reals), rel=1e-9),
        "swd100": swd.value,
        "pl2_100_zfull": path.value,
        "mc100_z": condition.mc.value,
        "mc100_z_top2": condition.ttmc.value,
    }


def test_metrics_of_features_are_those_called_directly(small_extractor):
    generator, names = Tiny(), "fid300,is300,kid1k_full,pr2003,ipr1k5_full"
    real = TensorImages(blobs().pixels.repeat(5, 1, 1, 1)[:1100])
    found = results(generator, names.replace("pr2003", "pr200_3"), images=real, seed=3, extractor="inception")
    both = Wanted(rows=frozenset({"pool3", "logits_unbiased"}))
    fakes = collect(small_extractor, drawn(generator, seed=3), 1000, both).rows
    reals = collect(small_extractor, stored(real), 1100, both).rows["pool3"]
    part = reals[real_subset(1100, 200, 3)]
    score = inception_score(fakes["logits_unbiased"][:300])
    three, five = (
        precision_recall(fakes["pool3"][:200], part, neighbours=3),
        precision_recall(fakes["pool3"], reals, neighbours=5),
    )
    assert {name: value for name, value in found.items() if name != "fd300"} == {
        "cs300_mean": score.value,
        "cs300_std": score.std,
        "kd1k_full": kernel_distance(fakes["pool3"], reals, seed=3).value,
        "ipr200_3_precision": three.precision,
        "ipr200_3_recall": three.recall,
        "ipr1k5_full_precision": five.precision,
        "ipr1k5_full_recall": five.recall,
    }


@pytest.mark.parametrize("generator", [Tiny, Mapped])
def test_the_batch_changes_no_number(generator):
    names = ALL + (",ppl2_100_wend,mc100_w" if generator is Mapped else "")
    first = results(generator(), names)
    for batch in (7, 300):
        assert results(generator(), names, batch=batch) == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_number_of_processes_changes_no_number(world_size, tmp_path):
    first = results()

    def work(processes):
        return results(processes=processes, batch=32, out=tmp_path, resume=True)

    for found in in_processes(world_size, work):
        assert found == pytest.approx(first, rel=1e-6)
    assert [len(metric_path(tmp_path, name).read_text().splitlines()) for name in ("fd240", "swd100")] == [
        1,
        1,
    ]
    for found in in_processes(world_size, work):
        assert found == pytest.approx(first, rel=1e-6)
    assert len(read_evaluations(tmp_path)) == 4


def test_processes_that_do_not_share_a_folder_measure_alike(tmp_path):
    def work(processes):
        out = tmp_path / f"process{processes.rank}"
        return results(metrics="swd100,mc100_z", processes=processes, out=out, resume=True)

    first, again = in_processes(2, work), in_processes(2, work)
    assert first == again
    assert first[0] == first[1]
    assert lines(tmp_path / "process0") == {"metric-swd100.jsonl": 2, "metric-mc100_z.jsonl": 2}


def test_metrics_do_not_depend_on_their_order_or_their_company():
    together = results(metrics="fd250,fd240,swd100,ipr100_3")
    apart = {}
    for name in ("ipr100_3", "swd100", "fd240", "fd250"):
        apart |= results(metrics=name)
    assert apart == pytest.approx(together, rel=1e-9)
    images = TensorImages(blobs().pixels.flip(0), name="others")
    folder = {"target": Target("digits", "images"), "resolution": 16}
    alone = results(metrics="fd240", images=images, **folder)
    beside = results(metrics="fd240,fd500", images=images, **folder)
    assert beside["fd240"] == pytest.approx(alone["fd240"], rel=1e-9)


def test_the_order_asked_for_is_kept_and_doubles_are_measured_once():
    found = measure(metrics="mc100_z, fd240,MC100_Z,swd100 ,fd240")
    assert [each.metric for each in found] == ["mc100_z", "fd240", "swd100"]


def test_redraws_give_values_their_mean_and_an_interval():
    fd, swd, path = measure(metrics="fd240,swd100,ppl2_100_zfull", redraws=3)
    for each in (fd, swd):
        (values,) = each.values.values()
        assert len(set(values)) == 3
        assert each.results[each.metric] == pytest.approx(sum(values) / 3)
        interval = each.intervals[each.metric]
        assert interval.low < each.results[each.metric] < interval.high
    assert path.values == {}
    assert path.intervals["pl2_100_zfull"].low < path.results["pl2_100_zfull"]
    alone = measure(metrics="fd240", redraws=1)[0]
    assert alone.intervals == {}
    assert alone.values["fd240"][0] == pytest.approx(fd.values["fd240"][0], rel=1e-9)


def test_the_first_redraw_has_the_images_of_a_single_one():
    three, one = (measure(metrics="swd100", redraws=redraws)[0].values["swd100"] for redraws in (3, 1))
    assert three[0] == one[0]


def test_an_extractor_sees_every_image_once_and_cached_ones_not_at_all(counted, tmp_path):
    names = "fd240_full,ipr100_3_full,fd230_full,ipr120_5_full"
    measure(metrics=names, redraws=2, batch=50)
    assert sum(counted) == 256 + 2 * 240
    counted.clear()
    measure(metrics=names, redraws=1)
    assert sum(counted) == 240


def test_an_unusable_cache_costs_a_computation_and_is_told(counted, tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    first = results(metrics="fd240", cache=tmp_path / "file", say=said.append)
    assert len(said) == 1
    assert "the statistics of blobs are not kept: cannot write" in said[0]
    assert first == results(metrics="fd240")


def test_no_home_for_a_cache_matters_only_to_metrics_of_features(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def nowhere():
        raise RuntimeError

    monkeypatch.setattr("pathlib.Path.home", nowhere)
    assert measure(metrics="swd100")
    with pytest.raises(InputError, match="name a cache folder"):
        measure(metrics="fd240")


# Resuming


def lines(folder):
    return {path.name: len(path.read_text().splitlines()) for path in folder.glob("metric-*.jsonl")}


def as_run(generator):
    return Target("run", "run", generator.eval(), 6, weights_sha256(generator))


@pytest.fixture
def done(tmp_path):
    first = measure(target=as_run(Tiny()), metrics="fd240,swd100,mc100_z", out=tmp_path)
    assert set(lines(tmp_path).values()) == {1}
    return tmp_path, first


def test_resume_leaves_out_what_is_done(done, monkeypatch):
    folder, first = done
    told = []
    for options in ({}, {"batch": 13}):
        again = {"target": as_run(Tiny()), "metrics": "fd240,swd100,mc100_z", **options}
        assert measure(**again, out=folder, resume=True) == first
        assert set(lines(folder).values()) == {1}
    more = measure(
        target=as_run(Tiny()), metrics="mc100_z,fd250,fd240", out=folder, resume=True, tell=told.append
    )
    assert [each.metric for each in more] == ["mc100_z", "fd250", "fd240"]
    assert {each.metric for each in told} == {"mc100_z", "fd250", "fd240"}
    assert lines(folder) == dict.fromkeys(
        (f"metric-{name}.jsonl" for name in ("fd240", "fd250", "swd100", "mc100_z")), 1
    )


def test_without_resume_everything_is_measured_again(done):
    folder, first = done
    again = measure(target=as_run(Tiny()), metrics="fd240,swd100,mc100_z", out=folder)
    assert set(lines(folder).values()) == {2}
    assert [each.results for each in again] == [each.results for each in first]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"redraws": 2},
        {"generator": Tiny(seed=1)},
        {"generator": Tiny(strength=0.6)},
        {"images": TensorImages(blobs().pixels.flip(0), name="blobs")},
    ],
)
def test_resume_measures_again_what_would_be_another_number(done, changes):
    folder, _ = done
    target = as_run(changes.pop("generator", Tiny()))
    measure(target=target, metrics="fd240", out=folder, resume=True, **changes)
    assert lines(folder)["metric-fd240.jsonl"] == 2


def test_resume_sees_through_a_function_to_the_weights_behind_it(tmp_path):
    networks = [Tiny(seed=0).eval(), Tiny(seed=1).eval()]
    for network in (networks[0], networks[0], networks[1]):
        target = Target("own.py:f", "callable", lambda z, n=network: n(z), 6, "the hash of the source")
        measure(target=target, metrics="ipr100_3", out=tmp_path, resume=True)
    assert lines(tmp_path) == {"metric-ipr100_3.jsonl": 2}


def test_resume_sees_other_images_in_a_folder_of_the_same_name(tmp_path):
    place = tmp_path / "pictures"
    for count in (120, 120, 130):
        write_folder(place, [f"{i:03d}.png" for i in range(count)], height=16, width=16, channels=1)
        found = measure(target=Target(str(place), "images"), metrics="ipr100_3", out=tmp_path, resume=True)
    assert lines(tmp_path) == {"metric-ipr100_3.jsonl": 2}
    assert found[0].target["data"]["count"] == 130


def test_other_precision_and_other_versions_are_other_numbers(tmp_path, monkeypatch):
    for _ in range(2):
        measure(metrics="mc100_z,swd100", out=tmp_path, resume=True)
    measure(metrics="mc100_z,swd100", out=tmp_path, resume=True, precision="float32")
    assert lines(tmp_path) == {"metric-mc100_z.jsonl": 2, "metric-swd100.jsonl": 1}
    monkeypatch.setattr("riemann_noise_pytorch.experiments.evaluation.passport.commit", lambda: "another")
    measure(metrics="swd100", out=tmp_path, resume=True)
    assert lines(tmp_path)["metric-swd100.jsonl"] == 2


def test_an_interruption_leaves_what_is_finished_and_nothing_else(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate_module, "conditions", interrupted)
        told = []
        with pytest.raises(KeyboardInterrupt):
            measure(metrics="swd100,mc100_z,fd240", out=tmp_path, tell=told.append)
    assert [each.metric for each in told] == ["swd100"]
    assert lines(tmp_path) == {"metric-swd100.jsonl": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["metric-swd100.jsonl"]
    measure(metrics="swd100,mc100_z,fd240", out=tmp_path, resume=True)
    assert set(lines(tmp_path).values()) == {1}


def test_a_damaged_line_is_measured_again_and_told(done):
    folder, first = done
    path = metric_path(folder, "swd100")
    path.write_text(path.read_text()[:200])
    said = []
    target = as_run(Tiny())
    again = measure(target=target, metrics="fd240,swd100,mc100_z", out=folder, resume=True, say=said.append)
    assert [each.results for each in again] == [each.results for each in first]
    assert said == [f"{path} line 1 is damaged, and left out; delete that line"]
    assert len(read_evaluations(folder)) == 3


def test_a_place_that_takes_no_files_is_told_before_any_work(tmp_path, counted):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write into"):
        measure(metrics="fd240", out=tmp_path / "file")
    assert counted == []


# Sides


def test_a_folder_is_measured_against_a_folder():
    pixels = blobs().pixels
    first, second = TensorImages(pixels, name="first"), blobs()
    target = Target("digits", "images")
    found = measure(target=target, metrics="fd240,swd100,ipr100_3", resolution=16, redraws=5)
    assert [each.target["kind"] for each in found] == ["images"] * 3
    assert found[0].target["data"]["name"] == "digits"
    assert found[0].protocol["redraws"] == 1
    assert all(each.intervals == {} for each in found)
    assert len(first) == len(second)


def test_a_set_against_itself_is_at_no_distance(tmp_path):
    place = tmp_path / "pictures"
    write_folder(place, [f"{i:03d}.png" for i in range(240)], height=16, width=16, channels=1)
    config = EvaluateConfig(metrics="fd240,swd240,ipr240_3", data=str(place))
    found = evaluate(Target(str(place), "images"), config)
    numbers = {name: value for each in found for name, value in each.results.items()}
    assert numbers["fd240"] == pytest.approx(0, abs=1e-6)
    assert numbers["swd240"] == pytest.approx(0, abs=1e-6)
    assert (numbers["ipr240_3_precision"], numbers["ipr240_3_recall"]) == (1, 1)


def test_mirror_images_are_no_real_images():
    found = measure(metrics="fd240_full", images=MirroredImages(blobs()))[0]
    assert found.protocol["real"] == 256
    assert found.protocol["data"]["count"] == 256


def test_a_reference_smaller_than_asked_for_is_told_and_named_honestly():
    said = []
    found = measure(metrics="fd300,swd300,fd260_full,fd256", say=said.append)
    assert [each.metric for each in found] == ["fd300", "swd256", "fd260_full", "fd256"]
    assert found[0].name == "fd300 (random-conv, 300 generated, 256 real)"
    assert said == ["blobs has 256 images, fewer than fd300, swd300 would take; all are taken"]


def test_a_generator_with_classes_is_told_classes_as_frequent_as_the_datas(monkeypatch):
    labels = torch.tensor([0] * 200 + [2] * 56)
    images = TensorImages(blobs().pixels, name="blobs", labels=labels)
    config = EvaluateConfig(metrics="mc100_z,swd100", redraws=1)
    found = {e.metric: e for e in evaluate(target_of(Classes()), config, images=images)}
    assert found["mc100_z"].protocol["data"]["count"] == 256
    assert "labels" in found["mc100_z"].name
    uniform = condition_numbers(Classes(), num_pairs=100, dtype=torch.float64, labels=uniform_labels(3))
    assert uniform.mc.value != found["mc100_z"].results["mc100_z"]


def test_a_foreign_generator_is_measured_by_everything_as_it_is():
    numbers = results(Foreign(), precision="float32")
    assert set(numbers) == {"fd240", "swd100", "pl2_100_zfull", "mc100_z", "mc100_z_top2"}
    by_function = results(target=Target("f", "callable", Tiny().eval().forward, 6, ""))
    assert by_function["pl2_100_zfull"] > 0


def test_numbers_that_are_not_finite_are_refused_with_the_image():
    broken = Tiny()
    with torch.no_grad():
        broken.weight[3] = float("nan")
    for metrics in ("fd240", "swd100"):
        with pytest.raises(NonFiniteError, match=r"^generated image 0 of tiny is not finite"):
            measure(broken, metrics)
    with pytest.raises(NonFiniteError, match=r"^pair 0 of 100 gives nan"):
        measure(target=Target("run", "run", broken, 6), metrics="ppl2_100_zfull")


def test_progress_is_reported_stage_by_stage():
    seen = []
    config = EvaluateConfig(metrics="fd240,swd100,mc100_z", redraws=2)
    evaluate(target_of(Tiny()), config, images=blobs(), report=lambda *a: seen.append(a))
    ends = [(stage, total) for stage, done, total in seen if done == total]
    assert ends == [
        ("random-conv, real images", 240),
        ("random-conv, draw 1 of 2", 240),
        ("random-conv, draw 2 of 2", 240),
        ("swd100", 2),
        ("mc100_z", 100),
    ]


def test_time_that_metrics_share_counts_for_each(monkeypatch):
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(evaluate_module, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    found = measure(metrics="fd240,ipr100_3,swd100")
    assert [each.seconds for each in found] == [10, 20, 10]


# Generators of others


class Picky(Tiny):
    """Takes a few batches, and then fails in a line of its own."""

    def __init__(self, batches, error=ValueError):
        super().__init__()
        self.left, self.error = batches, error

    def forward(self, z):
        self.left -= 1
        if self.left < 0:
            raise self.error("no more\nof these")
        return super().forward(z)


@pytest.mark.parametrize("metrics", ["mc100_z", "ppl2_100_zfull"])
@pytest.mark.parametrize("batches", [0, 5])
@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError])
def test_what_fails_in_a_generator_of_the_users_own_is_told_in_one_line(metrics, batches, error):
    with pytest.raises(InputError) as caught:
        measure(Picky(batches + 1, error), metrics, batch=10, precision="float32")
    words = str(caught.value)
    assert f"({error.__name__} in test_evaluate.py line " in words
    assert "\n" not in words


def test_memory_that_runs_out_under_way_is_no_fault_of_the_users():
    with pytest.raises(MemoryError):
        measure(Picky(6, MemoryError), "mc100_z", batch=10, precision="float32")


class Casting(Tiny):
    """Computes in float32 whatever it is given."""

    def forward(self, z):
        return super().forward(z).float()


class Inner(torch.nn.Module):
    """Holds its network where a copy in another precision does not reach it."""

    z_dim = 6

    def __init__(self):
        super().__init__()
        self.own = torch.nn.Parameter(torch.zeros(1))
        self.hidden = [torch.nn.Linear(6, 256)]

    def forward(self, z):
        return self.hidden[0](z).view(-1, 1, 16, 16) + self.own


class Sealed(Tiny):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError


@pytest.mark.parametrize("kind", [Casting, Inner, Sealed])
@pytest.mark.parametrize("metrics", ["mc100_z", "ppl2_100_zfull"])
def test_a_generator_that_cannot_be_float64_is_told_of_float32(kind, metrics):
    with pytest.raises(InputError, match="give --precision float32, or in Python leave dtype out") as caught:
        measure(kind(), metrics)
    assert "module=" not in str(caught.value)
    assert measure(kind(), metrics, precision="float32")


def test_classes_that_are_no_number_are_no_labels():
    class Worded(Tiny):
        classes = ("cat", "dog")

    names = "ipr100_3,mc100_z"
    assert results(Worded(), names) == pytest.approx(results(Tiny(), names), rel=1e-9)


def test_noise_of_others_counts_the_batch_when_an_evaluation_is_resumed(tmp_path):
    for batch in (64, 64, 32):
        measure(Foreign(), "ipr100_3", batch=batch, out=tmp_path, resume=True)
    assert lines(tmp_path) == {"metric-ipr100_3.jsonl": 2}
    again = {"target": as_run(Tiny()), "metrics": "mc100_z", "out": tmp_path, "resume": True}
    for batch in (64, 32):
        measure(**again, batch=batch)
    assert lines(tmp_path)["metric-mc100_z.jsonl"] == 1


# Two sets of images


def pictures_of(folder, size, count=110, channels=1):
    names = [f"{i:03d}.png" for i in range(count)]
    return str(write_folder(folder, names, height=size, width=size, channels=channels))


def measured_against(first, second, metrics="ipr100_3", **options):
    said = []
    config = EvaluateConfig(metrics=metrics, data=second, **options)
    return evaluate(Target(first, "images"), config, say=said.append), said


def test_sets_of_two_sizes_are_resized_only_when_that_is_asked_for(tmp_path):
    small, large = pictures_of(tmp_path / "small", 16), pictures_of(tmp_path / "large", 32)
    for first, second in ((small, large), (large, small)):
        with pytest.raises(InputError, match=r"; give --resolution 16, or other data"):
            measured_against(first, second)
        (found,), _ = measured_against(first, second, resolution=16, resize_filter="box")
        assert found.name.endswith("both sides resized to 16x16 by box)")
        assert found.target["data"]["resize_filter"] == found.protocol["data"]["resize_filter"] == "box"
    (same,), _ = measured_against(large, large)
    assert same.target["data"]["image_shape"] == [1, 32, 32]
    assert same.target["data"]["resize_filter"] is None
    assert "resized" not in same.name


def test_a_set_of_mixed_sizes_is_refused_with_the_remedy(tmp_path):
    mixed, even = pictures_of(tmp_path / "mixed", 32), pictures_of(tmp_path / "even", 16)
    write_folder(tmp_path / "mixed", ["z.png"], height=24, width=20, channels=1)
    for first, second in ((mixed, even), (even, mixed)):
        with pytest.raises(InputError, match=r"images differ in size: .* such as --resolution 20"):
            measured_against(first, second)
    assert measured_against(mixed, even, resolution=16)


def test_a_set_of_another_mode_is_refused_with_the_remedy(tmp_path):
    grey, colour = pictures_of(tmp_path / "grey", 16), pictures_of(tmp_path / "colour", 16, channels=3)
    with pytest.raises(InputError, match="give --channels 1, or other data"):
        measured_against(grey, colour)
    assert measured_against(grey, colour, channels=1)


def test_of_a_group_a_set_of_images_gives_what_it_can(tmp_path):
    folder = pictures_of(tmp_path / "pictures", 16, 260)
    found, said = measured_against(folder, folder, "quick")
    assert [each.metric for each in found] == ["swd260", "fd260"]
    assert said == [
        f"{folder} is a set of images: ppl2_1k_zfull, mc1k_z of the group need a generator, and are left out",
        "pictures has 260 images, fewer than swd2k, fd2k would take; all are taken",
        f"{folder}, which is measured, has 260 images, fewer than swd2k, fd2k would take; all are taken",
        f"{folder} and pictures hold the very same images",
    ]


def test_weights_that_nothing_takes_are_told(tmp_path):
    said = []
    given = dict.fromkeys(("vgg16_weights", "inception_weights", "lpips_heads"), tmp_path / "file")
    measure(metrics="swd100", say=said.append, **given)
    assert said == [
        f"--{name} is given, but no metric asked for takes it"
        for name in ("inception-weights", "vgg16-weights", "lpips-heads")
    ]
    said.clear()
    measure(metrics="ppl2_100_zfull", say=said.append, vgg16_weights=tmp_path / "file")
    assert said == [
        "--vgg16-weights is given, but no metric asked for takes it; path lengths take it where "
        "--lpips-heads is given too"
    ]
