import pytest

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.models.noise_choice import NoiseChoice, parse_noise_layers

PLACES = ["block4.conv1", "block8.conv0", "block8.conv1", "block16.conv0", "block16.conv1"]


def kinds(choice):
    layers = [choice.layer(place, (8, 8), 4) for place in PLACES]
    choice.check_all_used()
    return [None if layer is None else layer.kind for layer in layers]


def test_one_kind_goes_everywhere():
    assert kinds(NoiseChoice("euclidean")) == ["euclidean"] * 5
    assert kinds(NoiseChoice("none")) == [None] * 5


def test_the_last_match_counts_and_no_match_is_no_noise():
    choice = NoiseChoice({"block8.*": "euclidean", "block*.conv0": "riemannian", "block16.conv0": "none"})
    assert kinds(choice) == [None, "riemannian", "euclidean", None, None]


def test_presets_are_kinds_beside_the_common_one():
    choice = NoiseChoice({"*": "riemannian", "block4.*": "seed"}, "author-cat")
    layers = [choice.layer(place, (8, 8), 4) for place in PLACES]
    assert [layer.preset for layer in layers] == ["seed"] + ["author-cat"] * 4


def test_the_strength_reaches_every_kind():
    choice = NoiseChoice(
        {"*": "euclidean", "block4.*": "riemannian", "block8.*": "per-channel"}, strength=0.5
    )
    layers = [choice.layer(place, (8, 8), 4) for place in PLACES]
    assert [float(layer.strength()) for layer in layers] == [0.5] * 5


@pytest.mark.parametrize(
    "given", ["euclidian", {"block4*": "euclidian"}, {"block4*": "euclidian", "*": "none"}]
)
def test_unknown_kinds_are_met_with_the_nearest_even_where_no_layer_has_them(given):
    with pytest.raises(InputError, match="unknown kind of noise 'euclidian'; did you mean 'euclidean'"):
        NoiseChoice(given)


def test_unknown_presets_are_met_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'paper'"):
        NoiseChoice("riemannian", "papier").layer("block4.conv1", (4, 4), 4)


def test_patterns_that_no_layer_matches_are_refused():
    with pytest.raises(InputError, match=r"unknown layer or pattern 'block9.*'.* Valid: block16.conv0"):
        kinds(NoiseChoice({"*": "none", "block9.*": "euclidean"}))


def test_texts_are_read_in_order():
    assert parse_noise_layers("") == parse_noise_layers("  ") == {}
    assert list(parse_noise_layers(" b=none , a=paper").items()) == [("b", "none"), ("a", "paper")]


@pytest.mark.parametrize("text", ["block4", "block4=", "=none", "block4=none,", ",", "block4:none"])
def test_texts_that_are_no_pairs_are_refused(text):
    with pytest.raises(InputError, match="parts are PATTERN=KIND"):
        parse_noise_layers(text)


def test_a_pattern_given_twice_is_refused():
    with pytest.raises(InputError, match="names 'a' twice"):
        parse_noise_layers("a=none,b=none,a=paper")
