"""What is said of a picture is what the network says, calibrated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mnistcli
from conftest import draw_digits
from mnistcli.bundled import BUNDLED_PATH
from mnistcli.checkpoint import load
from mnistcli.images import Glyph, Picture
from mnistcli.model import MODELS, build_model
from mnistcli.network import GLYPHS_AT_ONCE, Network, open_network
from mnistcli.reading import MultiPrediction, Prediction
from mnistcli.saving import save
from mnistcli.scoring import UNCALIBRATED, Outputs, ask


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("rejector", [None, {"weights": [0.1] * 128, "bias": -1.0}])
def test_probabilities_are_the_networks_as_it_was_calibrated(
    tmp_path: Path, temperature: float, rejector: dict[str, Any] | None, tta: bool
) -> None:
    checkpoint = load(BUNDLED_PATH).model_copy(update={"temperature": temperature, "rejector": rejector})
    save(checkpoint, tmp_path / "ckpt.pt")
    picture = tmp_path / "6.png"
    Image.fromarray(255 - draw_digits(np.array([6], np.uint8), seed=6)[0]).resize((140, 140)).save(picture)
    (answer,) = mnistcli.predict([picture], checkpoint=tmp_path / "ckpt.pt", tta=tta)
    assert answer.glyph is not None
    seen = torch.from_numpy(answer.glyph.image)[None, None]
    outputs = ask(checkpoint.build_model(), seen, checkpoint.pixel_normalization(), tta=tta)
    expected = checkpoint.calibration().probabilities(outputs)[0]
    # Not to the bit: the reader asks in another way, and the network computes in float32.
    torch.testing.assert_close(torch.tensor(answer.probabilities).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("probabilities", "rest"),
    [
        ((), None),
        ((0.1,) * 10, 0),
        ((1.0,) + (1e-9,) * 9, 0),
        ((0.25,) + (0.0,) * 9, 0.75),
    ],
)
def test_what_digits_leave_is_that_of_no_digit(probabilities: tuple[float, ...], rest: float | None) -> None:
    assert Prediction("", probabilities).no_digit_probability == rest


def test_no_digit_is_ranked_among_the_digits_where_it_is_known_of() -> None:
    known = Prediction("", (0.5, 0.125) + (0.0,) * 8)
    assert known.ranked()[:4] == [("0", 0.5), ("?", 0.375), ("1", 0.125), ("2", 0.0)]
    unknown = Prediction("", (0.25, 0.75) + (0.0,) * 8)
    assert unknown.ranked()[:2] == [("1", 0.75), ("0", 0.25)]
    assert {name for name, _ in unknown.ranked()} == set("0123456789")
    assert Prediction("").ranked() == []


def test_answers_are_compared_and_collected() -> None:
    glyphs = [Glyph(np.ones((28, 28), np.uint8), (1, 2, 3, 4)) for _ in range(2)]
    one, other = (Prediction("a.png", glyph=glyph, picture=None) for glyph in glyphs)
    assert one != other
    assert len({one, other, Prediction("a.png", glyph=glyphs[0])}) == 2
    pictures = [Picture(np.ones((9, 9, 1), np.uint8), (9, 9), "a.png") for _ in range(2)]
    assert len({MultiPrediction("a.png", ((one,),), picture=picture) for picture in pictures}) == 2


def test_an_answer_is_written_in_a_line() -> None:
    glyph, picture = Glyph(np.ones((28, 28), np.uint8), (1, 2, 3, 4)), Picture(np.ones((9, 9, 1), np.uint8), (9, 9), "")
    six = Prediction("a.png", (0.0,) * 6 + (0.75, 0.25, 0.0, 0.0), glyph, picture=picture)
    assert repr(six) == "Prediction(path='a.png', status='ok', digit=6, confidence=0.75)"
    number = MultiPrediction("a.png", ((six, six),), picture=picture)
    assert replace(number, has_more=True).status == "unsure"
    assert repr(number) == "MultiPrediction(path='a.png', status='ok', text='66', confidence=0.75)"
    for kind in Prediction, MultiPrediction:
        failed = kind("a.png", error="no picture at a.png")
        assert repr(failed) == f"{kind.__name__}(path='a.png', status='error', error='no picture at a.png')"
    assert "array" not in f"{glyph} {picture}"


def test_a_blot_is_no_digit_however_probable_one_is() -> None:
    found = Glyph(np.ones((28, 28), np.uint8), (0, 0, 28, 28), is_no_digit=True)
    blot = Prediction("", (1.0,) + (0.0,) * 9, found)
    assert (blot.status, blot.digit, blot.text, blot.confidence) == ("unsure", None, "?", 1)


def test_a_digit_is_sure_from_the_least_confidence_on() -> None:
    assert Prediction("", (0.5,) + (0.05,) * 10, min_confidence=0.5).status == "ok"
    assert Prediction("", (0.5,) + (0.05,) * 10, min_confidence=0.51).status == "unsure"


def test_a_number_is_as_sure_as_its_least_sure_digit() -> None:
    sure, less_sure = (Prediction("", (share,) + (0.0,) * 9) for share in (0.9, 0.6))
    assert MultiPrediction("", ((sure, less_sure), (sure,))).confidence == 0.6
    assert MultiPrediction("", ((sure, Prediction("")),)).confidence == 0


@pytest.mark.parametrize("count", [1, 3, GLYPHS_AT_ONCE + 1])
@pytest.mark.parametrize("name", ["bundled", *MODELS])
def test_an_image_is_read_alike_alone_and_among_others(name: str, count: int) -> None:
    network = open_network("bundled", "last", "cpu")
    if name != "bundled":
        torch.manual_seed(0)
        network = replace(network, model=build_model(name), calibration=UNCALIBRATED)
    images = list(draw_digits(np.arange(GLYPHS_AT_ONCE + 2, dtype=np.uint8) % 10, seed=3))
    together = network.probabilities(images)
    apart = [
        answer for first in range(0, len(images), count) for answer in network.probabilities(images[first:][:count])
    ]
    # Not to the bit: which kernels compute how many images is the processor's and torch's affair.
    torch.testing.assert_close(torch.tensor(apart), torch.tensor(together), rtol=0, atol=1e-6)


def test_few_images_are_read_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    network, used = open_network("bundled", "last", "cpu"), []

    def note(self: Network, images: torch.Tensor, *_: object, **__: object) -> Outputs:
        used.append(torch.get_num_threads())
        return Outputs(torch.zeros(len(images), 10), torch.zeros(len(images), 128))

    monkeypatch.setattr(Network, "ask", note)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for count in (GLYPHS_AT_ONCE, GLYPHS_AT_ONCE + 1):
            network.probabilities([np.zeros((28, 28), np.uint8)] * count)
    finally:
        torch.set_num_threads(before)
    assert used == [1, 2]
