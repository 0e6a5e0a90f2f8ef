from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import ImageCNN  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_picture_becomes_one_embedding() -> None:
    assert ImageCNN(1, 4, 24)(torch.zeros(3, 1, 32, 32)).shape == (3, 24)


def test_tokens_are_the_cells_of_the_last_map_row_by_row() -> None:
    torch.manual_seed(0)
    model = ImageCNN(3, 4, 24, tokens=True).eval()
    image = torch.zeros(1, 3, 32, 48)
    changed = image.clone()
    changed[:, :, 0, 47] = 5.0  # the last cell of the first row of cells
    difference = (model(changed) - model(image)).abs().amax(dim=2)[0]
    assert difference.shape == (4 * 6,)
    assert difference.argmax() == 5
    assert difference[3 * 6] == 0


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    torch.manual_seed(0)
    model = ImageCNN(1, 4, 24).eval()
    images = torch.randn(4, 1, 32, 32)
    torch.testing.assert_close(model(images)[2:3], model(images[2:3]), rtol=1e-4, atol=1e-5)


def test_odd_sizes_are_accepted() -> None:
    assert ImageCNN(1, 4, 8, tokens=True)(torch.zeros(2, 1, 29, 17)).shape == (2, 4 * 3, 8)
