"""The first stages of training: pictures are moved together with their labels, and a grown tower starts as it was."""

from dataclasses import replace

import pytest
import torch

from videoxl.nano.reader import CELL, Reader, augment
from videoxl.nano.recipe import HIDDEN, SMALL_VISION, grow
from videoxl.network.vision import VisionEncoder


@pytest.mark.parametrize("size", [128, 96])
def test_cell_labels_follow_the_picture(size):
    grid = 128 // CELL
    # Columns are told by a ramp in red and rows by one in green: a pixel says which cell it came from.
    ramp = 32 + torch.arange(128) * 1.5  # no contrast drives it to black or white
    images = torch.zeros(6, 128, 128, 3, dtype=torch.uint8)
    images[..., 0], images[..., 1] = ramp[None, None, :], ramp[None, :, None]
    columns = torch.arange(1, grid + 1).repeat(grid, 1)
    cells = torch.stack([columns, columns.T]).repeat(6, 1, 1, 1)
    pixels, labels = augment(images, cells, size, torch.Generator().manual_seed(3))
    assert pixels.shape == (6, size, size, 3) and labels.shape == (6, 2, size // CELL, size // CELL)
    assert len({tuple(label.flatten().tolist()) for label in labels}) > 1  # some pictures were moved
    for number in range(6):
        # Brightness and contrast change the values by an affine map: compare what is left after taking it out.
        for channel in range(2):
            seen = pixels[number, CELL // 2 :: CELL, CELL // 2 :: CELL, channel].flatten()
            place = labels[number, channel].flatten()
            inside = (place > 1) & (place < grid)
            expected = ((place.float() - 0.5) * CELL * 1.5)[inside]
            fit = torch.linalg.lstsq(torch.stack([expected, torch.ones_like(expected)], 1), seen[inside, None])
            assert fit.solution[0] > 0.5
            off = seen[inside] - (expected * fit.solution[0] + fit.solution[1])
            assert off.abs().max() < 9  # half a cell of the ramp is 6, times gain and zoom; one cell off is 12


def test_a_grown_reader_starts_with_what_the_small_one_knew():
    torch.manual_seed(0)
    small = Reader(VisionEncoder(SMALL_VISION, HIDDEN), HIDDEN).eval()
    deeper = replace(SMALL_VISION, num_hidden_layers=6)
    grown = Reader(VisionEncoder(deeper, HIDDEN), HIDDEN).eval()
    grow(grown, small.state_dict())
    pixels = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        before, after = small(pixels), grown(pixels)
    for name in before:
        torch.testing.assert_close(after[name], before[name])


def test_grown_positions_keep_their_places():
    reader = Reader(VisionEncoder(SMALL_VISION, HIDDEN), HIDDEN)
    wide = Reader(VisionEncoder(replace(SMALL_VISION, image_size=192, pool_stride=6), HIDDEN), HIDDEN)
    small = reader.state_dict()
    rows = torch.arange(6.0)[:, None, None].expand(6, 6, 192)
    small["encoder.tower.positional_embedding"] = torch.cat([torch.full((1, 192), -7.0), rows.reshape(36, 192)])
    grow(wide, small)
    grown = wide.state_dict()["encoder.tower.positional_embedding"]
    assert (grown[0] == -7).all()
    by_row = grown[1:].view(12, 12, 192)
    assert (by_row == by_row[:, :1, :1]).all()
    # Twice as fine: every new row lies a quarter of a row beside an old one.
    torch.testing.assert_close(by_row[1:-1, 0, 0], torch.arange(10) / 2 + 0.25)
