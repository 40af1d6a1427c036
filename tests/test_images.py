"""From a person's picture to what the network was trained on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_digits
from mnistcli.errors import ImageError
from mnistcli.images import Grey, centre_by_mass, crop_to_ink, fit, is_dark_on_light, load_image, prepare, read_grey


def draw_big(digit: int = 3, size: tuple[int, int] = (280, 200)) -> Grey:
    """Draw a digit light on dark, stretched and off the centre, in a picture of (height, width)."""
    small = Image.fromarray(draw_digits(np.array([digit], np.uint8), seed=0)[0])
    picture = Image.new("L", (size[1], size[0]))
    picture.paste(small.resize((size[1] // 2, size[0] // 2), Image.Resampling.BICUBIC), (5, 9))
    return np.array(picture)


def test_a_sample_of_the_data_sets_own_making_passes_bit_for_bit(tmp_path: Path) -> None:
    sample = draw_digits(np.array([7], np.uint8), seed=3)[0]
    Image.fromarray(sample).save(tmp_path / "seven.png")
    image = load_image(tmp_path / "seven.png")
    assert image.shape == (1, 28, 28)
    assert np.array_equal(image[0].numpy(), sample)


def test_its_negative_passes_as_the_same_sample(tmp_path: Path) -> None:
    sample = draw_digits(np.array([7], np.uint8), seed=3)[0]
    Image.fromarray(255 - sample).save(tmp_path / "seven.png")
    assert np.array_equal(load_image(tmp_path / "seven.png")[0].numpy(), sample)


def test_a_big_picture_is_fitted_and_centred() -> None:
    image = prepare(draw_big(), "auto", Path("big.png"))
    rows, columns = np.nonzero(image >= 64)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) == 20
    assert height / width == pytest.approx(crop_to_ink(draw_big()).shape[0] / crop_to_ink(draw_big()).shape[1], rel=0.1)
    mass = image / image.sum()
    assert (mass.sum(1) @ np.arange(28), mass.sum(0) @ np.arange(28)) == pytest.approx((14, 14), abs=0.5)


def test_dark_on_light_and_light_on_dark_come_out_alike() -> None:
    light_on_dark = draw_big()
    ours = prepare(light_on_dark, "auto", Path("a.png"))
    assert np.array_equal(prepare(255 - light_on_dark, "auto", Path("b.png")), ours)
    assert is_dark_on_light(255 - light_on_dark)


def test_faint_ink_on_grey_paper_is_as_dark_as_any() -> None:
    strong = 255 - draw_big()
    faint = (150 + strong.astype(int) * 30 // 255).astype(np.uint8)  # 150 on 180
    likeness = np.corrcoef(
        prepare(faint, "auto", Path("a.png")).ravel(), prepare(strong, "auto", Path("b.png")).ravel()
    )
    assert prepare(faint, "auto", Path("a.png")).max() > 240
    assert likeness[0, 1] > 0.98


def test_invert_overrides_the_judgement() -> None:
    picture = draw_big()
    assert np.array_equal(prepare(picture, "no", Path("a.png")), prepare(255 - picture, "yes", Path("b.png")))
    assert not np.array_equal(prepare(picture, "yes", Path("a.png")), prepare(picture, "no", Path("a.png")))


def test_transparent_pixels_are_white_paper(tmp_path: Path) -> None:
    ink = draw_big()
    black_ink = np.stack([np.zeros_like(ink)] * 3 + [ink], axis=2)  # RGBA: the alpha channel alone shows the digit
    Image.fromarray(black_ink).save(tmp_path / "transparent.png")
    assert np.abs(read_grey(tmp_path / "transparent.png").astype(int) - (255 - ink)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_usual_kind_of_pixel_is_read(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(255 - draw_big())
    path = tmp_path / ("picture.tiff" if mode == "CMYK" else "picture.png")
    picture.convert("RGB" if mode == "CMYK" else "L").convert(mode, dither=Image.Dither.NONE).save(path)
    expected = prepare(255 - draw_big(), "auto", path)
    likeness = np.corrcoef(prepare(read_grey(path), "auto", path).ravel(), expected.ravel())[0, 1]
    assert likeness > (0.95 if mode == "1" else 0.999)


def test_a_photographs_orientation_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: turn it by 90 degrees to the right
    Image.fromarray(np.rot90(draw_big())).save(tmp_path / "photo.jpg", exif=exif, quality=100)
    assert np.abs(read_grey(tmp_path / "photo.jpg").astype(int) - draw_big()).mean() < 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3000, 40)])
def test_odd_sizes_work_or_are_blank(shape: tuple[int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    if 1 in shape and max(shape) == 1:
        with pytest.raises(ImageError, match=r"odd.png is blank"):
            prepare(picture, "no", Path("odd.png"))
    else:
        assert prepare(picture, "no", Path("odd.png")).shape == (28, 28)


@pytest.mark.parametrize("size", [28, 100])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_blank_picture_is_named(level: int, size: int) -> None:
    with pytest.raises(ImageError, match=r"paper.png is blank"):
        prepare(np.full((size, size), level, np.uint8), "auto", Path("paper.png"))


@pytest.mark.parametrize("deep", [draw_big().astype(np.uint16) * 257, draw_big().astype(np.float32) / 255])
def test_deeper_pixels_are_scaled_not_cut_off(tmp_path: Path, deep: np.ndarray) -> None:
    Image.fromarray(deep).save(tmp_path / "deep.tiff")
    assert np.array_equal(read_grey(tmp_path / "deep.tiff"), draw_big())


def test_specks_that_shrink_to_nothing_are_blank() -> None:
    specks = np.zeros((3000, 3000), np.uint8)
    specks[100, 100] = specks[2900, 2900] = 255
    with pytest.raises(ImageError, match=r"specks.png is blank"):
        prepare(specks, "no", Path("specks.png"))


def test_thin_ink_stays_whole() -> None:
    line = np.zeros((300, 300), np.uint8)
    line[20:280, 150] = 255
    image = centre_by_mass(fit(crop_to_ink(line)))
    assert (image[4:24, 14] > 0).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no picture at"), (b"", "is not a picture"), (b"hello", "is not a picture")],
)
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "digit.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        load_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_a_cut_picture_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"digit.{kind}"
    Image.fromarray(draw_big()).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=str(path)):
        load_image(path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(draw_big()).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="too large"):
        load_image(tmp_path / "bomb.png")
