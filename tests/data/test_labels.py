import json

import pytest

from riemann_noise_pytorch.data.labels import match_labels, read_labels
from riemann_noise_pytorch.errors import InputError


def test_labels_are_read_by_path():
    text = json.dumps({"labels": [["a/0.png", 3], ["./b.png", 0], ["c\\d.png", 1]]}).encode()
    assert read_labels(text, "dataset.json") == {"a/0.png": 3, "b.png": 0, "c/d.png": 1}


def test_null_means_no_labels():
    assert read_labels(b'{"labels": null}', "dataset.json") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"labels": [["a.png", 1]', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[]", 'no "labels"'),
        (b'{"classes": []}', 'no "labels"'),
        (b'{"labels": {"a.png": 1}}', "no list"),
        (b'{"labels": [["a.png"]]}', "entry 0"),
        (b'{"labels": [["a.png", 1], "b.png"]}', "entry 1"),
        (b'{"labels": [[7, 1]]}', "entry 0"),
        (b'{"labels": [["a.png", -1]]}', "whole number"),
        (b'{"labels": [["a.png", 1.5]]}', "whole number"),
        (b'{"labels": [["a.png", true]]}', "whole number"),
        (b'{"labels": [["a.png", null]]}', "whole number"),
        (b'{"labels": [["a.png", [0.1, 0.2]]]}', "whole number"),
        (b'{"labels": [["a.png", 99999999999]]}', "whole number"),
        (b'{"labels": [["a.png", 1], ["a.png", 2]]}', "more than once"),
    ],
)
def test_damaged_labels_are_refused_by_name(text, words):
    with pytest.raises(InputError, match=words) as caught:
        read_labels(text, "set/dataset.json")
    assert "set/dataset.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_follow_the_order_of_the_images():
    labels = {"b.png": 1, "a.png": 2, "skipped.png": 0}
    matched = match_labels(labels, ["a.png", "b.png"], {"a.png", "b.png", "skipped.png"}, "dataset.json")
    assert matched.tolist() == [2, 1]


def test_labels_of_missing_images_are_refused():
    with pytest.raises(InputError, match=r"labels 'gone\.png', which is not there \(1 such\)"):
        match_labels({"a.png": 0, "gone.png": 1}, ["a.png"], {"a.png"}, "dataset.json")


def test_images_without_a_label_are_refused():
    with pytest.raises(InputError, match=r"no label for 'b\.png' \(2 such\)"):
        match_labels({"a.png": 0}, ["a.png", "b.png", "c.png"], {"a.png", "b.png", "c.png"}, "dataset.json")
