"""Real models without a network, and that the gate of ``tests.real`` can fail."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest

from graphml_onnx import RoundTripError
from tests.real import __main__ as gate
from tests.real import check, packages
from tests.real.packages import NotFetchedError, Package
from tests.real.producers import judge, metadata_beside

FIXTURES = sorted(gate.FIXTURES.glob("*.onnx"))
PRODUCERS = sorted(gate.PRODUCERS.glob("*.onnx"))
MODEL = gate.FIXTURES / "xgboost.onnx"


@pytest.mark.parametrize("model", FIXTURES, ids=lambda path: path.stem)
def test_real_models_come_back_in_every_way(model: Path) -> None:
    row = check.check_model("fixtures", model.name, model)
    assert row.problems == ()
    assert row.encoded is not None


@pytest.mark.parametrize("model", PRODUCERS, ids=lambda path: path.stem)
def test_models_of_producers_come_back_and_operators_are_where_their_parameters_are(model: Path) -> None:
    row = check.check_model("producers", model.name, model)
    assert row.problems == ()


@pytest.mark.parametrize("model", PRODUCERS, ids=lambda path: path.stem)
def test_metadata_never_make_a_graph_worse(model: Path) -> None:
    _, by_names, _, _ = judge(model, None, names_only=True)
    assert judge(model, None)[1] >= by_names
    assert judge(model, metadata_beside(model))[1] >= by_names


def test_an_operator_in_another_module_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "judge", lambda *_: (20, 18, "names", []))
    assert "18 of 20 operators" in check.check_model("producers", "bert", PRODUCERS[0]).problems[0]


def test_three_real_models_have_more_than_2_mb() -> None:
    assert sum(path.stat().st_size > 2_000_000 for path in FIXTURES) >= 3


def test_the_table_names_each_model_once() -> None:
    models = [(package.name, path) for package in packages.read_table() for path in package.models]
    digests = [digest for package in packages.read_table() for digest in package.models.values()]
    assert len(set(digests)) == len(digests) == len(models)


def test_what_does_not_come_back_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(MODEL.read_bytes()[:-7])
    assert check.check_model("here", "torn", torn).problems[0].startswith("Traceback")
    monkeypatch.setattr(check.filecmp, "cmp", lambda *_, **__: False)
    assert len(check.check_model("here", "xgboost", MODEL).problems) == len(check.WAYS)

    def refuse(*_: object, **__: object) -> None:
        raise RoundTripError("no")

    monkeypatch.setattr(check, "encode", refuse)
    assert check.check_model("here", "xgboost", MODEL).problems == ("RoundTripError: no",)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which pip finds ``here==1.0``, a wheel with two models, and nothing else."""
    links = tmp_path / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "here-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: here\nVersion: 1.0\n")
        wheel.writestr("here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("here/a.onnx", MODEL.read_bytes())
        wheel.writestr("here/b.onnx.gz", gzip.compress(b"b"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


DIGESTS = {
    "here/a.onnx": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
    "here/b.onnx.gz": hashlib.sha256(b"b").hexdigest(),
}


def test_models_are_fetched_once_and_again_when_they_are_damaged(offline: Path, tmp_path: Path) -> None:
    package = Package("here", "1.0", DIGESTS)
    first, second = packages.fetch(package, tmp_path / "cache")
    assert (first.read_bytes(), second.read_bytes()) == (MODEL.read_bytes(), b"b")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["here-1.0"]
    second.write_bytes(b"c")
    assert packages.fetch(package, tmp_path / "cache") == [first, second]
    assert second.read_bytes() == b"b"
    next(offline.iterdir()).unlink()
    assert packages.fetch(package, tmp_path / "cache") == [first, second]
    second.unlink()
    with pytest.raises(NotFetchedError, match="No matching distribution"):
        packages.fetch(package, tmp_path / "cache")


@pytest.mark.parametrize(
    ("version", "models", "reason"),
    [
        ("2.0", DIGESTS, "No matching distribution"),
        ("1.0", {"here/a.onnx": "0" * 64}, "another SHA-256"),
        ("1.0", {"here/c.onnx": "0" * 64}, "there is no here/c.onnx"),
        ("1.0", {"../c.onnx": "0" * 64}, "outside"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_what_cannot_be_fetched_fails_the_gate(
    version: str,
    models: dict[str, str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gate, "read_table", lambda: [Package("here", version, models)])
    monkeypatch.setattr("sys.argv", ["tests.real", "--cache", str(tmp_path / "cache"), "--only", "here"])
    assert gate.main() == 1
    told = capsys.readouterr().out
    assert reason in told
    assert told.endswith("0 passed, 1 failed\n")


@pytest.mark.usefixtures("offline")
def test_a_package_is_recorded_as_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "packages.toml"
    table.write_text(packages.record("here==1.0"), encoding="utf-8")
    monkeypatch.setattr(packages, "TABLE", table)
    assert packages.read_table() == [Package("here", "1.0", DIGESTS)]


def test_a_folder_of_models_is_checked_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = gate.ROOT / "fixtures" / "small" / "external_data"
    monkeypatch.setattr("sys.argv", ["tests.real", "--kept-aside", str(small), "--jobs", "1"])
    assert gate.main() == 0
    assert capsys.readouterr().out.endswith("1 passed, 0 failed\n")
