"""From a file, of any kind, size and depth, to a picture and the image that the network was trained on."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from conftest import draw_big, draw_sample, find_glyph, likeness, save, see
from mnistcli.config import Invert
from mnistcli.errors import ImageError
from mnistcli.images import WORKING_PX, Picture, read_picture


def test_a_sample_of_the_data_sets_own_making_passes_bit_for_bit() -> None:
    sample = draw_sample(7)
    bottom, right = (int(np.flatnonzero(sample.any(axis))[-1]) for axis in (1, 0))
    assert sample[bottom, right] == 0
    sample[bottom, right] = 1  # fainter than any ink that stands out
    assert np.array_equal(see(sample), sample)
    assert np.array_equal(see(255 - sample), sample)


@pytest.mark.parametrize(("height", "is_sample"), [(18, False), (19, True), (20, True), (21, False)])
def test_a_sample_is_19_or_20_pixels_long(height: int, *, is_sample: bool) -> None:
    picture = np.zeros((28, 28), np.uint8)
    top = (29 - height) // 2
    picture[top : top + height, 13:16] = 250
    assert np.array_equal(see(picture), picture) == is_sample


@pytest.mark.parametrize(("down", "across"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_small_digit_that_is_not_centred_is_no_sample_but_is_centred(down: int, across: int) -> None:
    sample = draw_sample(3)
    moved = np.roll(sample, (down, across), (0, 1))
    seen = see(moved)
    assert not np.array_equal(seen, moved)
    assert likeness(moved, sample) < 0.8 < likeness(seen, sample)


@pytest.mark.parametrize(("flip", "right", "wrong"), [(0, "no", "yes"), (255, "yes", "no")])
def test_invert_overrides_the_judgement_of_a_sample(flip: int, right: Invert, wrong: Invert) -> None:
    sample = draw_sample(3)
    assert np.array_equal(see(sample ^ np.uint8(flip), right), sample)
    other, _ = find_glyph(read_picture(save(sample ^ np.uint8(flip))), wrong)
    assert other is None or not np.array_equal(other.image, sample)


def test_a_float_picture_with_gaps_is_read(tmp_path: Path) -> None:
    levels = (1 - draw_big() / 255).astype(np.float32)
    whole = see(Image.fromarray(levels), kind="TIFF")
    levels[0, 0] = np.nan
    levels[0, 1] = np.inf
    assert likeness(see(Image.fromarray(levels), kind="TIFF"), whole) > 0.97


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_a_little_above_white_is_white(white: float) -> None:
    levels = (1 - draw_big() / 255).astype(np.float32) * white
    shown = read_picture(save(levels, "TIFF")).pixels
    levels[:20, :20] = 1.2 * white  # as resizing leaves it beside an edge
    assert np.array_equal(read_picture(save(levels, "TIFF")).pixels, shown)


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_a_little_below_black_is_black(white: float) -> None:
    levels = draw_big().astype(np.float32) / 255 * white
    levels[:20, :20] = -0.2 * white
    expected = draw_big()
    expected[:20, :20] = 0
    assert np.array_equal(read_picture(save(levels, "TIFF")).pixels[..., 0], expected)


@pytest.mark.parametrize(("scale", "shift"), [(2, -1), (1, -1), (1 / 0.3081, -0.1307 / 0.3081), (255, -128), (3, -9)])
def test_normalised_levels_are_not_cut_off_at_0(scale: float, shift: float) -> None:
    levels = (draw_big().astype(np.float32) / 255 * scale + shift).astype(np.float32)
    assert np.array_equal(read_picture(save(levels, "TIFF")).pixels[..., 0], draw_big())


def test_a_level_that_stands_for_no_data_changes_nothing() -> None:
    levels = draw_big().astype(np.float32)
    levels[0, 0] = -9999
    assert np.array_equal(read_picture(save(levels, "TIFF")).pixels[..., 0], draw_big())


@pytest.mark.parametrize("shift", [-1, -128, -1000])
def test_whole_levels_below_0_are_not_cut_off(shift: int) -> None:
    assert np.array_equal(read_picture(save(draw_big().astype(np.int32) + shift, "TIFF")).pixels[..., 0], draw_big())


def test_what_rounding_leaves_below_0_is_black() -> None:
    levels = np.random.default_rng(0).normal(0, 1e-6, (50, 50)).astype(np.float32)
    assert not read_picture(save(levels, "TIFF")).pixels.any()


@pytest.mark.parametrize("level", [-7, -0.1])
def test_an_even_picture_of_a_level_below_0_is_blank(level: float) -> None:
    assert not read_picture(save(np.full((50, 50), level, np.float32), "TIFF")).pixels.any()


@pytest.mark.parametrize("level", [0, 255])
def test_transparent_pixels_are_paper_that_contrasts(level: int) -> None:
    ink = draw_big()
    rgba = np.stack([np.full_like(ink, level)] * 3 + [ink], axis=2)  # the alpha channel alone shows the digit
    assert likeness(see(rgba), see(ink)) > 0.99


@pytest.mark.parametrize(("level", "background"), [(0, 255), (110, 255), (150, 0), (255, 0)])
def test_transparent_pixels_are_black_where_ink_is_lighter_than_middle_grey(level: int, background: int) -> None:
    ink = draw_big()
    picture = read_picture(save(np.dstack([np.full_like(ink, level)] * 3 + [ink])))
    assert (picture.pixels[ink == 0] == background).all()


def test_a_light_picture_that_is_a_little_transparent_everywhere_is_laid_on_white() -> None:
    paper = 255 - draw_big()
    picture = read_picture(save(np.dstack([paper] * 3 + [np.full_like(paper, 200)])))
    assert (picture.pixels[paper == 255] == 255).all()


def test_a_large_transparent_picture_is_read_as_an_opaque_one() -> None:
    ink = np.kron(draw_big(), np.ones((12, 12), np.uint8))
    transparent = np.dstack([np.zeros((*ink.shape, 3), np.uint8), ink])
    assert max(ink.shape) > 2 * WORKING_PX
    assert likeness(see(transparent), see(255 - ink)) > 0.99


def test_a_photograph_whose_greys_are_dots_is_read() -> None:
    lit = ((200 - draw_big() * 0.7) * np.linspace(0.8, 1, 200)).astype(np.uint8)
    assert likeness(see(Image.fromarray(lit).convert("1")), see(lit)) > 0.9  # Pillow dithers by default


@pytest.mark.parametrize(
    ("size", "paper", "is_smoothed"), [((280, 200), 235, True), ((140, 100), 200, True), ((80, 60), 200, False)]
)
def test_dots_are_smoothed_where_they_are_few_too_but_not_in_a_small_picture(
    size: tuple[int, int], paper: int, *, is_smoothed: bool
) -> None:
    dots = Image.fromarray((paper - draw_big(size=size) * 0.7).astype(np.uint8)).convert("1")
    assert (len(np.unique(read_picture(save(dots)).pixels)) > 2) == is_smoothed


def test_a_scan_in_black_and_white_is_not_smoothed() -> None:
    scan = Image.fromarray(255 - draw_big()).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(read_picture(save(scan), "a picture").pixels[..., 0], np.asarray(scan.convert("L")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_usual_kind_of_pixel_is_read(mode: str) -> None:
    picture = Image.fromarray(255 - draw_big()).convert("RGB" if mode == "CMYK" else "L")
    picture = picture.convert(mode, dither=Image.Dither.NONE)
    glyph, _ = find_glyph(read_picture(save(picture, "TIFF" if mode == "CMYK" else "PNG"), "a picture"))
    assert glyph is not None
    assert likeness(glyph.image, see(255 - draw_big())) > (0.95 if mode == "1" else 0.999)


@pytest.mark.parametrize(
    "deep",
    [
        *((draw_big().astype(np.uint32) * white // 255).astype(np.uint16) for white in (1023, 4095, 65535)),
        draw_big().astype(np.float32) / 255,
    ],
)
def test_deeper_pixels_are_scaled_not_cut_off(deep: np.ndarray) -> None:
    assert np.array_equal(read_picture(save(deep, "TIFF")).pixels[..., 0], draw_big())


def test_a_level_that_is_transparent_cuts_off_no_deeper_pixels(tmp_path: Path) -> None:
    deep = Image.fromarray(257 * (255 - draw_big()).astype(np.uint16))
    deep.save(tmp_path / "deep.png", transparency=1)  # a level that no pixel has
    with Image.open(tmp_path / "deep.png") as opened:
        assert opened.mode.startswith("I")
        assert opened.info["transparency"] == 1
    assert np.array_equal(read_picture(tmp_path / "deep.png").pixels[..., 0], 255 - draw_big())


def test_transparent_deeper_pixels_are_paper_that_contrasts(tmp_path: Path) -> None:
    is_ink = draw_big() > 127
    levels = np.where(is_ink, 65_000, 65_535).astype(np.uint16)  # too alike to be told apart
    Image.fromarray(levels).save(tmp_path / "deep.png", transparency=65_535)
    assert likeness(see(read_picture(tmp_path / "deep.png").pixels[..., 0]), see(is_ink)) > 0.99


def test_a_photographs_orientation_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: turn it by 90 degrees to the right
    Image.fromarray(np.rot90(draw_big())).save(tmp_path / "photo.jpg", exif=exif, quality=100)
    picture = read_picture(tmp_path / "photo.jpg")
    assert np.abs(picture.pixels[..., 0].astype(int) - draw_big()).mean() < 1
    assert picture.size == (200, 280)


def test_damaged_data_about_a_picture_do_not_matter(tmp_path: Path) -> None:
    Image.fromarray(draw_big()).save(tmp_path / "digit.png", exif=b"no exif at all")
    assert np.array_equal(read_picture(tmp_path / "digit.png").pixels[..., 0], draw_big())


def test_the_size_of_a_turned_photograph_is_that_before_it_was_decoded_smaller(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = tmp_path / "photo.jpg"  # decoded smaller, it is square
    Image.new("L", (2 * WORKING_PX - 1, 2 * WORKING_PX)).save(photo, exif=exif)
    assert read_picture(photo).size == (2 * WORKING_PX, 2 * WORKING_PX - 1)


@pytest.mark.parametrize(
    ("kind", "options", "is_read"),
    [("JPEG", {}, True), ("JPEG", {"progressive": True}, False), ("PNG", {}, False), ("TIFF", {}, False)],
)
def test_too_large_a_picture_is_read_where_it_is_decoded_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: dict[str, bool], is_read: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    large = tmp_path / "large"
    Image.new("L", (2 * WORKING_PX, 3 * WORKING_PX), 200).save(large, kind, exif=exif, **options)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WORKING_PX**2)  # of which Pillow opens twice as many
    if is_read:
        picture = read_picture(large)
        assert picture.size == (3 * WORKING_PX, 2 * WORKING_PX)
        assert np.abs(picture.pixels.astype(int) - 200).max() < 2
    else:
        with pytest.raises(ImageError, match="too large a picture"):
            read_picture(large)


def test_a_few_bytes_that_stand_for_billions_of_pixels_are_refused() -> None:
    content = bytearray(save(Image.new("L", (8, 8)), "JPEG").getvalue())
    size = content.index(b"\xff\xc0") + 5  # of the frame, in its header
    content[size : size + 4] = b"\xff" * 4
    with pytest.raises(ImageError, match="too large a picture"):
        read_picture(io.BytesIO(content), "it")


def test_a_large_picture_is_read_smaller_and_boxes_are_in_its_own_pixels() -> None:
    large = np.full((3000, 4000), 255, np.uint8)
    large[1000:1800, 2000:2200] = 0
    picture = read_picture(save(large))
    assert max(picture.pixels.shape) == WORKING_PX
    glyph, _ = find_glyph(picture)
    assert glyph is not None
    assert glyph.box == pytest.approx((2000, 1000, 200, 800), abs=9)


def test_an_animations_first_frame_counts(tmp_path: Path) -> None:
    first, second = (Image.fromarray(255 - draw_big(digit)) for digit in (3, 7))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert likeness(see(read_picture(tmp_path / "moving.gif").pixels[..., 0]), see(255 - draw_big(3))) > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3000, 40)])
def test_odd_sizes_work_or_are_blank(shape: tuple[int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    glyph, _ = find_glyph(read_picture(save(picture)))
    assert glyph is None or glyph.image.any()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no picture at"), (b"", "is empty"), (b"hello", "is not a picture")],
)
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "digit.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="needs a device")
def test_a_device_is_not_called_empty() -> None:
    with pytest.raises(ImageError, match="/dev/null is not a picture"):
        read_picture(Path("/dev/null"))


def test_postscript_is_not_run_whatever_its_name(tmp_path: Path) -> None:
    Image.new("L", (40, 40), 200).save(tmp_path / "innocent.png", "EPS")
    with pytest.raises(ImageError, match=r"cannot read .*innocent.png: it is PostScript"):
        read_picture(tmp_path / "innocent.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_a_cut_picture_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"digit.{kind}"
    Image.fromarray(draw_big()).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=str(path)):
        read_picture(path)


@pytest.mark.parametrize(("ends", "is_dash"), [(((40, 100), (160, 104)), True), (((98, 40), (102, 160)), False)])
def test_a_dash_is_no_digit(ends: tuple[tuple[int, int], tuple[int, int]], is_dash: bool) -> None:
    picture = Image.new("L", (200, 200), "white")
    ImageDraw.Draw(picture).line(ends, "black", 14)
    glyph, _ = find_glyph(read_picture(save(picture)))
    assert glyph is not None
    assert glyph.is_no_digit == is_dash


def test_a_box_ends_within_the_picture() -> None:
    wide = Picture(np.zeros((10, 1024, 1), np.uint8), (1027, 10), "a picture")
    left, _, width, _ = wide.box(512, 0, 512, 10)
    assert left + width == 1027
