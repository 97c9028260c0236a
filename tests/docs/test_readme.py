"""The blocks of README.md run from top to bottom, as they are written."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

from tests.common.command import in_process
from tests.docs.documents import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BERT = ROOT / "fixtures/htp/modelexport-bert-mini"


def test_the_blocks_run_in_order(tmp_path: Path) -> None:
    for name in ("model.onnx", "model_htp_metadata.json"):
        shutil.copy(BERT / name, tmp_path / name)
    ran = 0
    printed = io.StringIO()
    for kind, content in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        if kind == "console":
            for line in re.findall(r"^\$ g2o (.*)$", content, re.MULTILINE):
                done = in_process(tmp_path, *shlex.split(line))
                assert done.code == 0, (line, done.err)
                ran += 1
        elif kind == "python":
            with contextlib.chdir(tmp_path), contextlib.redirect_stdout(printed):
                exec(compile(content, "README.md", "exec"), {})
            ran += 1
        elif kind == "text":
            assert printed.getvalue() == content
        else:
            assert (kind, content.startswith("pip install .")) == ("sh", True)
    assert ran == 6
    assert (tmp_path / "restored.onnx").read_bytes() == (BERT / "model.onnx").read_bytes()


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
