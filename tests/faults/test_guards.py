"""What `make guards` takes away is there; the run itself takes too long for each run of the tests."""

from __future__ import annotations

from tests.guards import GUARDS, ROOT


def test_each_guard_is_found_in_one_place() -> None:
    counts = {(guard.file, guard.text): (ROOT / guard.file).read_text("utf-8").count(guard.text) for guard in GUARDS}
    assert {place: count for place, count in counts.items() if count != 1} == {}


def test_each_guard_has_its_test() -> None:
    for guard in GUARDS:
        file, _, name = guard.test.partition("::")
        assert (ROOT / file).exists(), guard.test
        if name:
            assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text("utf-8"), guard.test
