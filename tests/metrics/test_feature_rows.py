"""What is refused as features, and how it is named."""

import pytest
import torch

from riemann_noise_pytorch.errors import InputError, NonFiniteError
from riemann_noise_pytorch.metrics import feature_rows
from riemann_noise_pytorch.metrics.feature_rows import check_pair, check_rows


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("row", [0, 6, 13, 19])
def test_the_first_row_that_is_not_finite_is_named_in_any_block(monkeypatch, row, value):
    monkeypatch.setattr(feature_rows, "ROWS_AT_ONCE", 7)
    features = torch.zeros(20, 3)
    features[row:, 1] = value
    with pytest.raises(NonFiniteError, match=rf"features of real image {row} of 20 have NaN"):
        check_rows(features, "real", 2)


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(5),
        torch.zeros(5, 2, 2),
        torch.zeros(5, 2).long(),
        torch.zeros(5, 2).bool(),
        torch.zeros(5, 0),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(bad):
    with pytest.raises(InputError, match="flatten them to one vector an image"):
        check_rows(bad, "real", 2)


def test_each_side_is_named():
    good = torch.zeros(5, 2)
    check_pair(good, good, 5)
    with pytest.raises(InputError, match="5 generated images are too few for this statistic; give 6"):
        check_pair(good, torch.zeros(6, 2), 6)
    with pytest.raises(InputError, match="5 real images are too few"):
        check_pair(torch.zeros(6, 2), good, 6)
    with pytest.raises(InputError, match="2 dimensions cannot be compared with real ones of 3"):
        check_pair(good, torch.zeros(5, 3), 2)
