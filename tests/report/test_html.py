import re
from importlib.resources import files

import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.experiments.metric_names import METRIC_LABELS, metric_label
from riemann_noise_pytorch.report import write_report
from riemann_noise_pytorch.report.tables import ARM_LABELS
from tests.report.compare_folder import ARMS, METRICS, fabricate
from tests.report.parsed_page import HOSTILE, Page, assert_whole_and_alone


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a complete comparison, as text."""
    return write_report(fabricate(tmp_path_factory.mktemp("page")).path).read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path):
    return fabricate(tmp_path / "out", arms=("none", "riemannian"), seeds=(0,), metrics=("swd",), images=4)


def _written(folder):
    return Page(write_report(folder.write().path).read_text(encoding="utf-8"))


def test_the_page_is_whole_asks_nothing_and_runs_nothing(whole):
    assert len(Page(whole).pictures) > 20
    assert_whole_and_alone(whole)


def test_every_picture_has_a_text_and_every_figure_a_caption(whole):
    page = Page(whole)
    assert all(image.get("alt") for image in page.all("img"))
    for title in ("Samples", "Metrics", "Training", "Where the noise goes"):
        section = whole[whole.index(f"<h2>{title}</h2>") :].split("</section>")[0]
        assert "Look for" in section


def test_the_answer_comes_first(whole):
    text = Page(whole).text
    places = [
        text.index(words)
        for words in (
            "Does noise injection improve the generator? Riemannian noise:",
            "the generators turned it off",
            "The numbers",
            "Samples",
            "Metrics Look for",
            "Training One thin line",
            "Where the noise goes",
            "How it was measured",
            "Configuration",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "words", [*(ARM_LABELS[arm] for arm in ARMS), *(METRIC_LABELS[key] for key in METRICS)]
)
def test_all_arms_and_metrics_appear(whole, words):
    assert words in Page(whole).text


def test_the_protocol_of_every_metric_is_printed(whole):
    text = Page(whole).text
    for key, (name, _, interval) in METRICS.items():
        assert f"{metric_label(key, name)} {key} {name} n = 2000; interval: {interval}" in text


def test_the_first_sentence_stands_large_and_the_others_in_a_list(whole):
    paragraph, findings = re.search(
        r'<p class="answer">(.*?)</p>\s*<ul class="findings">(.*?)</ul>', whole, re.S
    ).groups()
    assert paragraph.startswith("Riemannian noise: sliced Wasserstein distance lower")
    items = re.findall(r"<li>(.*?)</li>", findings)
    assert len(items) == 2
    assert items[-1].endswith("the generators turned it off.")


def test_one_sentence_makes_no_list(small):
    small.of("verdict")[0]["sentences"] = ["Nothing was shown."]
    text = write_report(small.write().path).read_text()
    assert '<p class="answer">Nothing was shown.</p>' in text
    assert '<ul class="findings">' not in text


@pytest.mark.parametrize("norm", ["rms", "l2"])
def test_the_caption_of_sigma_is_true_of_the_layer(small, norm):
    import torch
    from safetensors.numpy import load_file, save_file

    from riemann_noise_pytorch.noise.control import given, off
    from riemann_noise_pytorch.noise.layers import RiemannNoise

    layer = RiemannNoise(4, preset="neutral", norm=norm, w=0.3, dtype=torch.float64)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    mu = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    epsilon = torch.ones(3, 1, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        sigma = layer.local_scale(mu)
        with off(layer):
            still = layer(mu)
        with given(layer, {"*": epsilon}):
            moved = layer(mu)
    r, w = (1.0 if factor is None else factor.detach() for factor in (layer.r, layer.w))
    torch.testing.assert_close(still, r * sigma * mu)
    torch.testing.assert_close((moved - still).abs(), (sigma * r * w).abs().expand(3, 5, 4, 4))
    path = small.path / "artifacts" / "riemannian-seed0.safetensors"
    pictures = {key: value for key, value in load_file(path).items() if not key.startswith("sigma/")}
    save_file(pictures | {"sigma/stage4.noise": sigma[:, 0].float().numpy()}, path)
    text = _written(small).text
    if norm == "rms":
        torch.testing.assert_close((sigma * layer.strength()).abs(), (sigma * r * w).abs())
        assert "the root mean square of every map is 1" in text
        assert "is |σ| times the layer’s strength |r w|." in text
    else:
        assert "the root mean square of every map is 1" not in text
        assert "is |σ| times |r w|." in text


def test_the_page_claims_nothing_of_pairs_that_is_true_of_single_runs_alone(whole):
    assert "needs more seeds" not in whole
    assert "could have shown" not in whole
    assert whole.count("such a comparison would show with 80 % probability") == 2


def test_configuration_and_environment_are_printed(whole):
    text = Page(whole).text
    assert "network.architecture dcgan" in text
    assert "torch 2.11.0" in text
    assert "5f" * 32 in text


def test_dark_pages_have_their_own_diagrams(whole):
    page = Page(whole)
    assert "prefers-color-scheme: dark" in whole
    diagrams = [image for image in page.all("img") if "svg" in image["src"][:20]]
    assert len(diagrams) == len(page.all("source")) == len(METRICS) + 3 + 2
    assert all(source["media"] == "(prefers-color-scheme: dark)" for source in page.all("source"))


def test_pixels_are_never_smoothed(whole):
    assert re.search(r"\.pixels \{[^}]*image-rendering: pixelated", whole)
    sheets = [image for image in Page(whole).all("img") if image["alt"].startswith("samples, ")]
    assert len(sheets) == 9
    assert {image["class"] for image in sheets} == {"pixels"}


def test_the_share_of_negative_sigma_is_printed(whole):
    assert len(re.findall(r"\d+\.\d % negative", whole)) == 3


def test_equal_folders_give_equal_pages(tmp_path):
    options = {"arms": ("riemannian",), "seeds": (0,), "metrics": ("swd",), "images": 4}
    one, two = (write_report(fabricate(tmp_path / name, **options).path) for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_no_path_and_no_name_of_the_machine_enter_the_page(small):
    text = write_report(small.path).read_text()
    assert str(small.path) not in text


def test_hostile_text_is_shown_and_never_run(small):
    for record in small.records:
        for key in ("name", "interval", "verdict", "version", "unit"):
            if key in record:
                record[key] = HOSTILE
        if record.get("metric"):
            record["metric"] = HOSTILE
    setup = small.of("setup")[0]
    setup["config"] = {HOSTILE: HOSTILE}
    setup["environment"] = {HOSTILE: [HOSTILE]}
    setup["data"] |= {"name": HOSTILE, "count": HOSTILE}
    small.of("verdict")[0]["sentences"] = [HOSTILE]
    for run in small.of("run", arm="riemannian"):
        run["strengths"] = {HOSTILE: 0.1}
    page = _written(small)
    assert not page.all("script")
    assert page.text.count(HOSTILE) >= 8
    assert "49" not in page.text.replace(HOSTILE, "").split()


def test_text_that_is_no_unicode_is_still_written(small):
    small.of("verdict")[0]["sentences"] = ["half a pair: \ud800"]
    assert "half a pair: ?" in _written(small).text


def test_a_single_seed_and_a_single_arm_are_enough(tmp_path):
    page = _written(
        fabricate(tmp_path / "out", arms=("riemannian",), seeds=(4,), metrics=("mc_z",), images=3)
    )
    assert "1 seed ·" in page.text
    assert "The other seeds" not in page.text
    assert "Differences, paired by seed" not in page.text


def test_an_arm_that_was_not_trained_is_named(small):
    for kind in ("run", "measurement", "summary", "comparison"):
        small.drop(kind, arm="riemannian")
    assert "No training was recorded for: Riemannian." in _written(small).text


def test_a_metric_that_one_arm_lacks_keeps_the_others(tmp_path):
    folder = fabricate(tmp_path / "out", arms=ARMS[:2], seeds=(0,), metrics=("swd", "mc_z"), images=4)
    for kind in ("measurement", "summary", "comparison"):
        folder.drop(kind, arm="none", metric="mc_z")
    assert METRIC_LABELS["mc_z"] in _written(folder).text


@pytest.mark.parametrize("kind", ["reference", "summary", "comparison", "verdict"])
def test_records_that_were_never_written_are_missed_without_harm(small, kind):
    small.drop(kind)
    assert _written(small).all("img")


def test_runs_without_maps_losses_or_strengths_are_laid_out(small):
    from safetensors.numpy import load_file, save_file

    for run in small.of("run"):
        run.update(stats=[], strengths={}, sample_std=None, real_std=None)
        path = small.path / "artifacts" / f"{run['arm']}-seed0.safetensors"
        save_file({"samples": load_file(path)["samples"]}, path)
    page = _written(small)
    assert "Where the noise goes" not in page.text
    assert "Learned noise strength" not in page.text


@pytest.mark.parametrize(("size", "channels"), [(32, 3), (64, 1)])
def test_other_sizes_and_colours_fit(tmp_path, size, channels):
    folder = fabricate(
        tmp_path / "out", arms=("none",), seeds=(0,), metrics=("swd",), images=4, size=size, channels=channels
    )
    assert len(_written(folder).all("img")) >= 3


def test_a_failure_leaves_the_old_page_alone(small):
    before = write_report(small.path).read_bytes()
    (small.path / "artifacts" / "riemannian-seed0.safetensors").unlink()
    with pytest.raises(InputError, match=r"riemannian-seed0\.safetensors is missing"):
        write_report(small.path)
    assert (small.path / "report.html").read_bytes() == before
    assert not list(small.path.glob("*.partial")) + list(small.path.glob(".*"))


def test_the_templates_travel_with_the_package():
    folder = files("riemann_noise_pytorch.report") / "templates"
    assert {"page.html", "pieces.html", "compare.html", "diagnosis.html"} <= {
        entry.name for entry in folder.iterdir()
    }
