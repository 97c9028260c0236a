from pathlib import Path

import pytest

from graphml_onnx.errors import PayloadError
from graphml_onnx.files import Publication, alias_path, candidates
from graphml_onnx.files.names import is_reserved, new_token, temporary_path

DIGEST = "0123456789abcdef" * 4


def test_alias_stands_beside_the_file_and_ends_with_sixteen_digits_of_the_digest() -> None:
    assert alias_path(Path("a/m.onnxdata"), DIGEST) == Path("a/m.onnxdata.0123456789abcdef")


def test_reader_looks_for_the_final_name_first() -> None:
    path = Path("a/m.onnxdata")
    assert candidates(path, DIGEST) == (path, alias_path(path, DIGEST))


@pytest.mark.parametrize(
    "digest", ["", "0123456789abcde", "0123456789ABCDEF", "../../../../etc/passwd", DIGEST + "\n", "/" + DIGEST, "\0"]
)
def test_digest_from_a_hostile_file_never_becomes_a_path(digest: str) -> None:
    with pytest.raises(PayloadError, match="not a digest"):
        candidates(Path("m.onnxdata"), digest)


@pytest.mark.parametrize("letter", ["a", "ä", "模", "😀"])
def test_longest_possible_name_can_be_published_under_an_alias(tmp_path: Path, letter: str) -> None:
    name = letter * (255 // len(letter.encode()))
    with Publication() as publication:
        staged = publication.stage(tmp_path / name)
        staged.file.write(b"content")
        staged.alias_digest = DIGEST
        publication.publish()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_long_names_that_begin_alike_have_different_aliases() -> None:
    first, second = (alias_path(Path("x" * 250 + end), DIGEST) for end in "ab")
    assert first != second
    assert len(first.name) <= 255


@pytest.mark.parametrize("name", ["m.graphml", "x" * 250, "Modell ä.onnx"])
def test_every_name_of_a_publication_is_reserved(name: str) -> None:
    assert is_reserved(temporary_path(Path(name), new_token()).name)
    assert is_reserved(alias_path(Path(name).with_suffix(".onnxdata"), DIGEST).name)


@pytest.mark.parametrize("name", ["w.bin", "model.onnx.data", "w.0123456789abcdef", "w.g2o-tmp.bin", "aux.0.weight"])
def test_other_names_are_not_reserved(name: str) -> None:
    assert not is_reserved(name)
