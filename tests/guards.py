"""Takes each guard of the survival table away, in a copy of the repository, and expects a test to fail.

``python -m tests.guards`` prints each guard, its test, and what the test said; ``--only 30`` tries those of one row.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FAILED = 1  # pytest's exit code
_SECONDS = 180
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "results")


@dataclass(frozen=True)
class Guard:
    """What keeps one row: ``text`` in ``file``, without which, or with ``instead``, the ``test`` has to fail."""

    row: int
    file: str
    text: str
    instead: str
    test: str


FAULT = "tests/faults/test_faults.py::test_fault"
SURVIVAL = "tests/faults/test_survival.py::test"
SYSTEM = "tests/faults/test_system_faults.py::test"
HOSTILE = "tests/faults/test_hostile_graphs.py::test_a_hostile_graph_is_refused"
CALLS = "tests/files/test_failing_commands.py::test"
CRASH = "tests/files/test_crash_points.py::test"
PUBLICATION = "tests/files/test_publication.py::test"
DATA = "tests/roundtrip/test_external_data.py::test"
RESIDUE = "tests/codec/test_residue.py::test"
REPLACED = "tests/faults/test_replaced_pairs.py::test"

GUARDS = (
    Guard(1, "graphml_onnx/errors.py", "if isinstance(error, FileNotFoundError):\n        if os.path.islink",
          "if False:\n        if os.path.islink", f"{FAULT}[1: no model]"),
    Guard(1, "graphml_onnx/onnxfile/source.py", "if stat.S_ISDIR(status.st_mode):", "if False:",
          f"{FAULT}[1: a folder as a model]"),
    Guard(1, "cli/encode.py", 'readable=False, metavar="MODEL..."', 'metavar="MODEL"',
          f"{SYSTEM}_1_a_file_that_may_not_be_read"),
    Guard(2, "graphml_onnx/onnxfile/source.py", "if not stat.S_ISREG(status.st_mode):", "if False:",
          f"{FAULT}[2: the null device as a model]"),
    Guard(2, "graphml_onnx/encoding/prepare.py", "    if not head:", "    if False:", f"{FAULT}[2: an empty model]"),
    Guard(2, "graphml_onnx/onnxfile/source.py", 'getattr(os, "O_NONBLOCK", 0) | ', "",
          "tests/faults/test_faults.py::test_a_fifo_never_hangs[2: as a model]"),
    Guard(2, "graphml_onnx/support/sniff.py", "    if not head:", "    if False:", f"{FAULT}[2: an empty graph]"),
    Guard(3, "graphml_onnx/encoding/prepare.py", "    if look is not None:", "    if False:",
          f"{FAULT}[3: a PNG image]"),
    Guard(4, "graphml_onnx/encoding/prepare.py", 'if not model.HasField("graph"):', "if False:",
          f"{SURVIVAL}_4_a_model_without_a_graph"),
    Guard(4, "graphml_onnx/onnxfile/wire.py", "if index >= len(data):", "if False:",
          f"{SURVIVAL}_4_a_model_cut_off_at_every_byte"),
    Guard(5, "graphml_onnx/onnxfile/skeleton.py", "if size > MAX_SKELETON:", "if False:",
          f"{SURVIVAL}_5_a_skeleton_beyond_the_limit"),
    Guard(5, "graphml_onnx/onnxfile/extents.py", "if len(open_groups) > MAX_DEPTH:", "if False:",
          f"{FAULT}[5: groups 101 deep]"),
    Guard(5, "graphml_onnx/onnxfile/extents.py",
          '            if position > end:\n                raise _ends_too_early(length',
          '            if False:\n                raise _ends_too_early(length',
          f"{FAULT}[5: a length of 2 GiB]"),
    Guard(6, "graphml_onnx/onnxfile/schema.py", 'if "MaxDepth" in reason or "recursion" in reason.lower():',
          "if False:",
          f"{FAULT}[6: 34 subgraphs in a model]"),
    Guard(7, "graphml_onnx/onnxfile/wire.py", "    if extra:", "    if False:",
          "tests/onnxfile"),
    Guard(7, "graphml_onnx/encoding/prepare.py", "None if canonical == skeleton.data else canonical", "None",
          f"{SURVIVAL}_7_to_11_come_back_byte_for_byte"),
    Guard(8, "graphml_onnx/onnxfile/schema.py", "    _Field.TYPE_ENUM: _Field.TYPE_INT32,\n", "",
          f"{SURVIVAL}_7_to_11_come_back_byte_for_byte"),
    Guard(9, "graphml_onnx/onnxfile/schema.py", "    _Field.TYPE_STRING: _Field.TYPE_BYTES,\n", "",
          f"{SURVIVAL}_7_to_11_come_back_byte_for_byte"),
    Guard(9, "graphml_onnx/onnxfile/schema.py", "    _Field.TYPE_FLOAT: _Field.TYPE_FIXED32,\n", "",
          f"{SURVIVAL}_7_to_11_come_back_byte_for_byte"),
    Guard(10, "graphml_onnx/onnxfile/schema.py", "    _Field.TYPE_DOUBLE: _Field.TYPE_FIXED64,\n", "",
          f"{SURVIVAL}_7_to_11_come_back_byte_for_byte"),
    Guard(11, "graphml_onnx/onnxfile/skeleton.py", "return not route.text or not _is_text(source, start, end)",
          "return True", "tests/onnxfile"),
    Guard(12, "graphml_onnx/validation/flow.py", 'findings.add("cycle", ', 'findings.add("not-sorted", ',
          f"{SURVIVAL}_12_awkward_graphs_come_back_and_validate_reports_them"),
    Guard(13, "graphml_onnx/onnxfile/external.py", 'if path.is_absolute() or ".." in path.parts or not path.parts:',
          "if False:", f"{FAULT}[13: external data at '../w.bin']"),
    Guard(13, "graphml_onnx/onnxfile/external.py", 'strange = sorted(set(location) & set(":\\0"))',
          "strange = sorted(set())", f"{FAULT}[13: external data at 'a\\\\x00b']"),
    Guard(13, "graphml_onnx/onnxfile/external.py", "        if is_reserved(part):", "        if False:",
          f"{FAULT}[13: external data at '.g2o-lock']"),
    Guard(13, "graphml_onnx/onnxfile/external.py", "        if _DEVICE.fullmatch(", "        if False and (",
          f"{FAULT}[13: external data at 'NUL']"),
    Guard(14, "graphml_onnx/onnxfile/external.py",
          "return full.resolve(strict=True).relative_to(home).parts", "return full.resolve().relative_to('/').parts",
          f"{FAULT}[14: a link out of the folder]"),
    Guard(14, "graphml_onnx/onnxfile/external.py", "os.open(parts[-1], OPEN_FLAGS | _NOFOLLOW, dir_fd=current)",
          "os.open(parts[-1], OPEN_FLAGS, dir_fd=current)",
          f"{SURVIVAL}_14_a_link_that_is_put_there_in_the_last_moment"),
    Guard(15, "graphml_onnx/onnxfile/external.py", "if key in values and not _NUMBER.fullmatch(text):", "if False:",
          f"{FAULT}[15: {{'offset': '1_0'}}]"),
    Guard(15, "graphml_onnx/onnxfile/external.py", "    if end > size:", "    if False:",
          f"{FAULT}[15: {{'offset': 41}}]"),
    Guard(16, "graphml_onnx/encoding/prepare.py", 'f"external data of tensor {tensor.name!r}: {error.message}"',
          "error.message", f"{FAULT}[16: no data file]"),
    Guard(17, "graphml_onnx/onnxfile/external.py", "if field.message_type is None or not _reaches_tensors",
          'if field.message_type is None or field.name == "training_info" or not _reaches_tensors',
          f"{FAULT}[17: in training_info]"),
    Guard(18, "graphml_onnx/encoding/prepare.py", "DataFile.find(path, tensor.location)",
          'DataFile.find(Path("/model.onnx"), tensor.location)', f"{SURVIVAL}_18_a_bare_relative_model_path"),
    Guard(19, "graphml_onnx/graphml/xml.py", "parser.StartDoctypeDeclHandler = self._on_doctype", "pass",
          f"{FAULT}[19: a billion laughs]"),
    Guard(20, "graphml_onnx/graphml/xml.py", "parser.StartDoctypeDeclHandler = self._on_doctype", "pass",
          f"{FAULT}[20: an empty DOCTYPE]"),
    Guard(21, "graphml_onnx/graphml/xml.py", "> MAX_TEXT:", "> MAX_TEXT * 2**40:",
          f"{SURVIVAL}_21_text_beyond_the_limit"),
    Guard(22, "graphml_onnx/graphml/xml.py", "if self._depth > MAX_DEPTH:", "if False:",
          f"{FAULT}[22: XML 100,000 deep]"),
    Guard(23, "graphml_onnx/graphml/xml.py", 'self._fail(f"the value of {self._value!r} contains the element',
          'str(f"',
          f"{HOSTILE}[an element in a value]"),
    Guard(24, "graphml_onnx/graphml/xml.py", "if encoding is not None and", "if False and",
          f"{FAULT}[24: UTF-7]"),
    Guard(24, "graphml_onnx/support/sniff.py", 'if look not in (None, "XML", "GraphML", "text"):', "if False:",
          f"{FAULT}[24: gzip]"),
    Guard(25, "graphml_onnx/graphml/xml.py", "except expat.ExpatError as error:",
          "except ZeroDivisionError as error:",
          f"{FAULT}[25: half a graph]"),
    Guard(26, "graphml_onnx/codec/graph_index.py", "if major != ours:", "if False:", f"{FAULT}[26: a newer format]"),
    Guard(27, "graphml_onnx/codec/graph_index.py",
          'self.fail(compound.line, "the parents of this module form a cycle")',
          "break", f"{FAULT}[27: a cycle of parents]"),
    Guard(27, "graphml_onnx/graphml/xml.py", 'self._fail(f"a second value of {name!r}")', "pass",
          f"{FAULT}[27: a value twice]"),
    Guard(27, "graphml_onnx/graphml/xml.py", "self._fail(f\"the key {key!r} is declared twice\")", "pass",
          f"{FAULT}[27: a key twice]"),
    Guard(28, "graphml_onnx/graphml/xml.py", "if text and not text.isspace():", "if True:",
          f"{SURVIVAL}_28_a_graph_that_other_tools_have_saved"),
    Guard(29, "graphml_onnx/parameters/store.py", 'or set(name) & set("/\\\\:\\0")', "",
          f"{FAULT}[29: the sidecar '../graph.onnxdata']"),
    Guard(29, "graphml_onnx/parameters/store.py", "        if path.is_symlink():", "        if False:",
          f"{FAULT}[29: a link as the sidecar]"),
    Guard(30, "graphml_onnx/decoding/api.py", "check_payloads(references.values(), store.source)", "pass",
          f"{SURVIVAL}_30_any_byte_changed_in_the_sidecar"),
    Guard(30, "graphml_onnx/parameters/store.py", "    if found != info.checksum:", "    if False:",
          f"{SURVIVAL}_30_any_byte_changed_in_the_sidecar"),
    Guard(30, "graphml_onnx/parameters/store.py", "    if source.size != info.size:", "    if False:",
          f"{FAULT}[30: a sidecar too long]"),
    Guard(31, "graphml_onnx/parameters/store.py", "        if reference.end > size:", "        if False:",
          f"{FAULT}[31: a payload beyond the store]"),
    Guard(31, "graphml_onnx/parameters/store.py", "        elif reference.offset < end:", "        elif False:",
          f"{FAULT}[31: payloads that overlap]"),
    Guard(31, "graphml_onnx/parameters/chunks.py", "    size = limits.LIMITS.chunk\n", "    size = 1 << 40\n",
          f"{SURVIVAL}_31_no_payload_is_allocated"),
    Guard(31, "graphml_onnx/codec/residue.py", "        if self.size > (limit :=", "        if 0 > (limit :=",
          f"{RESIDUE}_a_patch_that_claims_too_much_is_refused"),
    Guard(31, "graphml_onnx/codec/residue.py", "if _has_too_many_messages(original, canonical, self.patch):",
          "if False:", f"{RESIDUE}_a_patch_that_gives_more_messages_than_it_says_is_refused"),
    Guard(31, "graphml_onnx/codec/residue.py", "if too_long or _has_too", "if _has_too",
          f"{RESIDUE}_what_compresses_too_well_is_stored"),
    Guard(31, "graphml_onnx/codec/residue.py", "or _has_too_many_messages(original, canonical, patch)", "",
          f"{RESIDUE}_a_patch_that_gives_more_messages_than_it_says_is_refused"),
    Guard(31, "graphml_onnx/decoding/records.py", "if _canonical(original) != canonical:", "if False:",
          "tests/faults/test_hostile_graphs.py::test_a_residue_that_gives_another_graph_is_refused"),
    Guard(32, "graphml_onnx/codec/externals.py", "check_location(", "str(",
          f"{HOSTILE}[a location that leads out]"),
    Guard(33, "graphml_onnx/support/strictjson.py", "    if len(members) != len(pairs):", "    if False:",
          f"{FAULT}[33: a key twice]"),
    Guard(33, "graphml_onnx/support/strictjson.py", ", parse_constant=_constant", "", f"{FAULT}[33: NaN]"),
    Guard(33, "graphml_onnx/support/strictjson.py", "except RecursionError:", "except ZeroDivisionError:",
          f"{FAULT}[33: 20,000 deep]"),
    Guard(33, "graphml_onnx/support/strictjson.py", "    except ValueError:  # int()",
          "    except ZeroDivisionError:  # int()", f"{FAULT}[33: a huge number]"),
    Guard(33, "graphml_onnx/hierarchy/metadata.py", "place=error.place, ", "", f"{FAULT}[33: NaN]"),
    Guard(33, "graphml_onnx/errors.py", "return text if len(text) <= _SHOWN else", "return text if True else",
          "tests/cli/test_errors.py::test_an_endless_name_in_a_file_makes_no_endless_message"),
    Guard(34, "graphml_onnx/errors.py", "    {errno.ENOSPC, ", "    {",
          f"{SYSTEM}_34_no_space_left_at_every_step_of_the_write"),
    Guard(34, "graphml_onnx/files/publication.py", "                temporary.unlink(missing_ok=True)",
          "                pass", f"{CALLS}_34_any_call_that_fails_leaves_the_earlier_outputs"),
    Guard(34, "graphml_onnx/files/moves.py", "            self._inverses.pop()()", "            self._inverses.pop()",
          f"{CALLS}_34_any_call_that_fails_leaves_the_earlier_outputs"),
    Guard(35, "graphml_onnx/errors.py", "errno.ENOSPC, errno.EFBIG, ", "errno.ENOSPC, ",
          f"{SYSTEM}_35_a_file_size_limit_at_every_step_of_the_write"),
    Guard(35, "cli/show.py", '        raise StorageError(f"writing failed: {error.strerror or error}"',
          '        return str(f"',
          f"{SYSTEM}_35_a_full_device_as_standard_output"),
    Guard(36, "graphml_onnx/errors.py", 'return OutputError("may not be written"',
          'return StorageError("may not be written"',
          f"{SYSTEM}_36_a_folder_that_is_read_only"),
    Guard(36, "graphml_onnx/errors.py", "if isinstance(error, FileNotFoundError):\n        return OutputError",
          "if False:\n        return OutputError",
          f"{FAULT}[36: no folder for encode]"),
    Guard(36, "graphml_onnx/files/publication.py", 'raise OutputError("is a directory"',
          'raise UsageError("is a directory"',
          f"{FAULT}[36: a folder as the output of encode]"),
    Guard(37, "graphml_onnx/files/publication.py", "            raise already_exists(path)", "            pass",
          f"{PUBLICATION}_existing_output_is_refused_with_overwrite_as_the_remedy"),
    Guard(37, "graphml_onnx/files/moves.py", "                self._give_free_name(source, file.path)",
          "                source.replace(file.path)",
          f"{PUBLICATION}_file_that_appears_during_publication_is_not_replaced"),
    Guard(37, "graphml_onnx/decoding/output.py", "if os.path.lexists(path) and not self._is_replaced(path):",
          "if False:", f"{DATA}_with_overwrite_only_data_files_of_the_replaced_model_are_replaced"),
    Guard(38, "graphml_onnx/files/publication.py", "if (status.st_dev, status.st_ino) in self._inputs:", "if False:",
          f"{FAULT}[38: the model as output]"),
    Guard(38, "graphml_onnx/files/publication.py", "        if stat.S_ISLNK(status.st_mode):", "        if False:",
          f"{FAULT}[38: a link as output]"),
    Guard(38, "graphml_onnx/decoding/api.py", "            check_not_store(output, store.source)", "            pass",
          f"{FAULT}[38: the sidecar as output]"),
    Guard(39, "cli/signals.py", "            signal.signal(number, _stop)", "            pass",
          f"{SYSTEM}_39_a_signal_while_files_are_written"),
    Guard(39, "cli/signals.py", "    if _is_importing(frame):", "    if False:",
          "tests/cli/test_signals.py::test_signal_within_an_import_waits_for_its_end"),
    Guard(39, "cli/main.py", "        signals.ignore()  # cleanup has finished", "        pass",
          f"{SYSTEM}_39_a_signal_after_the_end_changes_nothing"),
    Guard(39, "graphml_onnx/files/publication.py", "        self._temporaries.append(temporary)  # first,",
          "        pass  # first,", f"{CALLS}_39_a_signal_at_any_call_leaves_the_old_or_the_new"),
    Guard(40, "graphml_onnx/encoding/api.py", "checksum = sidecar.alias_digest = write", "checksum = write",
          f"{CALLS}_40_the_end_of_the_process_at_any_call_leaves_a_pair"),
    Guard(40, "graphml_onnx/parameters/store.py", "candidates(folder / name, info.checksum) if is_sidecar else ", "",
          f"{CALLS}_40_the_end_of_the_process_at_any_call_leaves_a_pair"),
    Guard(40, "graphml_onnx/parameters/store.py", "if len(present) > 1 and not _holds(source, info, references):",
          "if False:",
          f"{CALLS}_40_the_end_of_the_process_at_any_call_leaves_a_pair"),
    Guard(40, "graphml_onnx/files/publication.py", "            remove_temporaries(path)", "            pass",
          f"{CALLS}_40_the_end_of_the_process_at_any_call_leaves_a_pair"),
    Guard(40, "graphml_onnx/files/moves.py", "        self._folders.sync()\n\n    def commit", "\n    def commit",
          f"{CRASH}_power_failure_at_any_point_leaves_a_pair"),
    Guard(40, "graphml_onnx/files/publication.py", "            sync_file(descriptor)", "            pass",
          f"{CRASH}_power_failure_at_any_point_leaves_a_pair"),
    Guard(41, "graphml_onnx/files/locks.py", "while not try_lock(descriptor):", "while False:",
          f"{PUBLICATION}_folder_that_another_program_keeps_locked"),
    Guard(41, "graphml_onnx/files/leftovers.py", "            if all(_is_unlocked",
          "            if True or all(_is_unlocked",
          f"{PUBLICATION}_temporary_file_in_use_is_not_removed"),
    Guard(41, "graphml_onnx/decoding/api.py", "            if not watch.has_changed():", "            if True:",
          f"{REPLACED}_the_new_pair_is_read"),
    Guard(42, "cli/failure.py", "case MemoryError() | ImportError() if _is_about_memory(error):",
          "case ZeroDivisionError():", f"{SYSTEM}_42_a_memory_limit"),
    Guard(42, "graphml_onnx/parameters/chunks.py", "    except RuntimeError:", "    except ZeroDivisionError:",
          f"{SYSTEM}_42_no_more_threads"),
)  # fmt: skip


def holds(guard: Guard, copy: Path) -> bool:
    """Whether the test fails without the guard."""
    file = copy / guard.file
    whole = file.read_text("utf-8")
    assert whole.count(guard.text) == 1, f"{guard.file} has {whole.count(guard.text)} times: {guard.text}"
    file.write_text(whole.replace(guard.text, guard.instead), "utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", guard.test],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:  # it hangs: also a way to fail
        return True
    finally:
        file.write_text(whole, "utf-8")
    assert done.returncode in (0, _FAILED), done.stdout.decode()[-2000:]
    return done.returncode == _FAILED


def main() -> int:
    """Runs from the command line; 1 where a test stays green."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__)
    parser.add_argument("--only", type=int, nargs="+", metavar="ROW", help="the guards of these rows")
    parser.add_argument("--text", help="only guards with this in their text")
    options = parser.parse_args()
    chosen = [
        guard
        for guard in GUARDS
        if (not options.only or guard.row in options.only) and (options.text or "") in guard.text
    ]
    green = 0
    with tempfile.TemporaryDirectory(prefix="g2o-guards-") as folder:
        copy = Path(shutil.copytree(ROOT, Path(folder) / "copy", ignore=_LEFT_OUT, symlinks=True))
        if not (copy / "graphml_onnx" / "cli").exists():
            (copy / "graphml_onnx" / "cli").symlink_to("../cli")  # as the installed package has it
        for guard in chosen:
            red = holds(guard, copy)
            green += not red
            line = f"{guard.text.strip().splitlines()[0]!r} in {guard.file}"
            print(f"row {guard.row}: {'red' if red else 'STILL GREEN'}: {guard.test} without {line}", flush=True)
    print(f"{green} of {len(chosen)} guards are not missed by any test")
    return 1 if green else 0


if __name__ == "__main__":
    sys.exit(main())
