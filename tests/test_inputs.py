"""Which picture files are meant."""

from pathlib import Path

import pytest

import mnistcli
from mnistcli.inputs import find_folders, find_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", "deep/c.tiff", ".hidden/d.png", "deep/.e.png", "[x].png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def named(found: object, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in found]  # type: ignore[attr-defined]


def test_a_folder_stands_for_its_pictures_in_order(folder: Path) -> None:
    assert named(find_pictures([folder]), folder) == ["[x].png", "a.JPG", "b.png", "deep/c.tiff"]


def test_a_folder_that_is_hidden_itself_is_read_where_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named(find_pictures([folder / ".hidden"]), folder) == [".hidden/d.png"]
    monkeypatch.chdir(folder / ".hidden")
    assert list(find_pictures(["."])) == [Path("d.png")]


def test_a_pattern_stands_for_what_matches_and_a_file_of_that_name_for_itself(folder: Path) -> None:
    assert named(find_pictures([f"{folder}/**/*.*[gf]"]), folder) == ["[x].png", "b.png", "deep/c.tiff"]
    assert named(find_pictures([f"{folder}/[x].png"]), folder) == ["[x].png"]


def test_a_pattern_gives_each_picture_once_however_many_ways_lead_to_it(folder: Path) -> None:
    whole = ["[x].png", "a.JPG", "b.png", "deep/c.tiff", "notes.txt"]
    assert named(find_pictures([f"{folder}/**"]), folder) == whole
    (folder / "deep" / "loop").symlink_to("..")
    assert named(find_pictures([f"{folder}/**"]), folder) == whole
    (folder / "c.png").symlink_to("b.png")  # a file's other name is one that was asked for
    assert named(find_pictures([f"{folder}/?.png"]), folder) == ["b.png", "c.png"]


def test_only_files_that_pillow_draws_are_pictures(folder: Path) -> None:
    for name in ("scan.pdf", "table.h5", "picture.eps", "program.ps", "album.png/f.png"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert named(find_pictures([folder]), folder) == ["[x].png", "a.JPG", "album.png/f.png", "b.png", "deep/c.tiff"]
    assert named(find_pictures([f"{folder}/d*"]), folder) == ["deep/c.tiff"]  # as a shell would name the folder


def test_one_name_is_a_name_and_a_name_too_long_is_given_as_it_is(folder: Path) -> None:
    assert named(find_pictures(str(folder / "b.png")), folder) == ["b.png"]
    too_long = folder / ("x" * 300 + ".png")
    assert list(find_pictures([too_long])) == [too_long]


def test_a_picture_that_cannot_be_asked_about_is_given_among_the_others(folder: Path) -> None:
    (folder / "deep" / "a.png").symlink_to("x" * 300)
    (folder / "deep" / "b.png").symlink_to("b.png")
    given = ["deep/a.png", "deep/b.png", "deep/c.tiff"]
    assert named(find_pictures([folder / "deep"]), folder) == given
    assert named(find_pictures([f"{folder}/deep/*"]), folder) == given


def test_a_file_of_the_name_of_standard_input_is_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "deep")
    Path("-").touch()
    assert list(find_pictures(["-", "./-", "?"])) == [Path("-"), folder / "deep" / "-", folder / "deep" / "-"]


def test_an_empty_name_is_not_that_of_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = folder / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert list(find_pictures(["", "."])) == [Path(), empty]
    answers = mnistcli.predict(["", "."], checkpoint="bundled")
    assert [answer.error for answer in answers] == ["the name of a picture is empty", f"no pictures in {empty}"]


def test_what_stands_for_nothing_is_given_as_it_is(folder: Path) -> None:
    (folder / "empty").mkdir()
    names = [folder / "empty", folder / "none.png", folder / "*.gif", Path("-")]
    assert list(find_pictures(names)) == names


def test_one_folder_may_be_named_by_itself(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert list(find_folders(str(tmp_path / "digits"))) == list(find_folders([tmp_path / "digits"]))
    assert list(find_folders(tmp_path / "digits")) == [tmp_path / "digits"]
