"""The GitHub Action calls the command as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.g2o_process import Command

ACTION = Path(__file__).parents[2] / "action.yml"


def test_options_of_the_action_are_options_of_verify(g2o: Command) -> None:
    script = ACTION.read_text(encoding="utf-8").partition("<<'SCRIPT'")[2]
    used = set(re.findall(r"--[a-z]+", script))

    assert {"--metadata", "--parameters", "--numeric", "--junit"} <= used
    assert used <= set(re.findall(r"--[a-z]+", g2o("verify", "--help").out))


def test_inputs_reach_the_scripts_as_environment_variables_only() -> None:
    lines = ACTION.read_text(encoding="utf-8").splitlines()
    uses = [line.strip() for line in lines if "${{" in line]

    assert uses
    assert all(re.fullmatch(r"[A-Z]+: \$\{\{ [\w.-]+ \}\}|python-version: \S.*\}\}", use) for use in uses)
