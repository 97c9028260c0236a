"""Changes of `tests.mutants` that nobody can notice: the place, the statement, the change, and why not."""

from __future__ import annotations

from typing import Final

_MORE_WORK = "messages without anything to find are entered too, which takes time only"
_IMPORTED = (
    "runs when the module is imported, before the fork; by hand: the module cannot be imported, or test_schema fails"
)
_A_GUESS = "the width is a guess, which each row is compared with; other numbers are found by _any_varints"
_NEGATIVE = "NumPy takes any negative number for a length that follows from the others"
_OTHER_WAY = "what is not found this way is found by _any_varints"
_NO_CUT = "no cut is at the start, nor at any negative place"
_EACH = "items that are not taken together are taken one by one"
_ESCAPED_TOO = "the way for strings with escapes gives the same text for those without"

EQUIVALENT: Final = {
    (
        "codec.lists._last_comma",
        "while place > 0 and text[place - 1] in b'\\\\,':",
        "while place >= 0 and text[place - 1] in b'\\\\,':",
    ): _NO_CUT,
    (
        "codec.lists._last_comma",
        "while place > 0 and text[place - 1] in b'\\\\,':",
        "while place > 1 and text[place - 1] in b'\\\\,':",
    ): "a list of texts starts with a quotation mark; what is no list is refused in any piece",
    (
        "codec.lists._last_comma",
        "place = text.rfind(b'\",\"', 0, place + 2)",
        "place = text.rfind(b'\",\"', 1, place + 2)",
    ): _NO_CUT,
    (
        "codec.lists._last_comma",
        "place = text.rfind(b'\",\"', 0, place + 2)",
        "place = text.rfind(b'\",\"', 0, place - 2)",
    ): "a cut one item earlier does as well",
    (
        "codec.arrays._text",
        "return ''.join([first, *(part for pair in zip(specials, rest, strict=True) for part in pair)])",
        "return ''.join([first, *(part for pair in zip(specials, rest, strict=False) for part in pair)])",
    ): "both have the same length",
    (
        "codec.lists._last_comma",
        "return place + 1 if place > 0 else -1",
        "return place + 1 if place > 0 else -2",
    ): _NO_CUT,
    (
        "codec.lists._last_comma",
        "return place + 1 if place > 0 else -1",
        "return place + 1 if place > 1 else -1",
    ): "the comma after an empty first text is left for the next piece",
    (
        "codec.lists._text",
        "if b'&' in content or b'>' in content:",
        "if b'&' in content or b'>' not in content:",
    ): "text without markup is unchanged by from_xml, which takes time only",
    ("codec.lists._texts", "if cut < 0:", "if cut < 1:"): _NO_CUT,
    ("codec.lists._texts", "if cut < 0:", "if cut <= 0:"): _NO_CUT,
    ("codec.lists._texts", "size *= 2", "size *= 3"): "the next piece is larger, and ends where it may end",
    (
        "codec.lists.new_name",
        "return f'$list-{os.urandom(8).hex()}'",
        "return f'$list-{os.urandom(9).hex()}'",
    ): "any random name does",
    (
        "codec.arrays.read",
        "if not set(map(type, items)) <= {int, float}:",
        "if not set(map(type, items)) < {int, float}:",
    ): _EACH,
    (
        "codec.arrays.read",
        "if not set(map(type, items)) <= {int, float}:",
        "if not set(map(type, items)) > {int, float}:",
    ): _EACH,
    (
        "codec.arrays._short_strings",
        "opening, closing = quotes.reshape(-1, 2).T",
        "opening, closing = quotes.reshape(-2, 2).T",
    ): _NEGATIVE,
    (
        "codec.arrays._integers",
        "if starts[-1] == len(text) or ends[0] == 0:",
        "if starts[-1] == len(text) and ends[0] == 0:",
    ): "an item of no digits is refused a few lines below",
    (
        "codec.arrays.text_of",
        "each = zip(starts.tolist(), ends.tolist(), strict=True)",
        "each = zip(starts.tolist(), ends.tolist(), strict=False)",
    ): "both have the same length",
    (
        "codec.arrays.text_of",
        "if _is_plain(joined) and joined.count(b'\"') == 2 * len(starts):",
        "if _is_plain(joined) and joined.count(b'\"') == 2 // len(starts):",
    ): _ESCAPED_TOO,
    ("codec.arrays._is_plain", "return True", "return False"): _ESCAPED_TOO,
    ("onnxfile.extents.model_routes", "_drop_dead_ends(routes)", "pass"): _MORE_WORK,
    ("onnxfile.extents.resize", "if position < size:", "if position <= size:"): "a piece of no bytes more",
    ("onnxfile.extents._drop_dead_ends", "count = -1", "count = -2"): "no number of routes is negative",
    (
        "onnxfile.extents.find_extents",
        "window, base, stop = (b'', 0, 0)",
        "window, base, stop = (b'', 1, 0)",
    ): "it is set when the first window is read",
    (
        "onnxfile.extents.find_extents",
        "last_tag = repeats = run_at = judged = -1",
        "last_tag = repeats = run_at = judged = -2",
    ): "no tag and no place is negative",
    (
        "onnxfile.extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats > _RUN or run_at != judged:",
    ): "lists of fewer than _RUN items are looked at too, and are too short to be taken",
    (
        "onnxfile.extents.resize",
        "if position < extent.length_at:",
        "if position <= extent.length_at:",
    ): "a piece of no bytes more",
    (
        "onnxfile.extents.find_extents",
        "repeats += 1",
        "repeats += 2",
    ): "the same lists are found after half as many items, from their start",
    (
        "onnxfile.extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats >= _RUN and run_at != judged:",
    ): "the same lists are found one item earlier, from their start",
    (
        "onnxfile.extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats <= _RUN and run_at != judged:",
    ): "the same lists are found at their second item, from their start",
    ("onnxfile.extents.find_extents", "last_tag = -1", "last_tag = -2"): "no tag is negative",
    (
        "onnxfile.extents.find_extents",
        "base, stop = (position, position + len(window))",
        "base, stop = (position, position - len(window))",
    ): "the window is read again for each field, which takes time only",
    (
        "onnxfile.extents.find_extents",
        "last_tag, repeats, run_at = (tag, 0, position)",
        "last_tag, repeats, run_at = (tag, 1, position)",
    ): "the same lists are found one item earlier, from their start",
    (
        "onnxfile.extents.find_extents",
        "position, last_tag = (run_end, -1)",
        "position, last_tag = (run_end, -2)",
    ): "no tag is negative",
    (
        "onnxfile.extents.find_extents",
        "position, last_tag = (start, -1)",
        "position, last_tag = (start, -2)",
    ): "no tag is negative",
    ("onnxfile.external._reaches_tensors", "return False", "return True"): _MORE_WORK,
    (
        "onnxfile.external._reaches_tensors",
        "if schema.message_name(current) == 'TensorProto':",
        "if schema.message_name(current) != 'TensorProto':",
    ): _MORE_WORK,
    (
        "onnxfile.external._read_entry",
        "problem = ExternalTensor(path, name, '', 0, None)",
        "problem = ExternalTensor(path, name, '', 1, None)",
    ): "what is refused tells no offset",
    ("onnxfile.lists._varints_of_one_width", "width = int(ends[0]) + 1", "width = int(ends[0]) + 2"): _A_GUESS,
    (
        "onnxfile.lists._varints_of_one_width",
        "alike &= rows[:, index] >= 128",
        "alike &= rows[:, index] > 128",
    ): _OTHER_WAY,
    (
        "onnxfile.lists._varints_of_one_width",
        "alike &= rows[:, index] >= 128",
        "alike &= rows[:, index] < 128",
    ): "the first is not so, as its width says; what is not found this way is found by _any_varints",
    (
        "onnxfile.lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count // stride < len(numbers):",
    ): _OTHER_WAY,
    (
        "onnxfile.lists._short_texts",
        "if count < len(fields) and ends[count - 1] > fields[count]:",
        "if count < len(fields) and ends[count - 1] >= fields[count]:",
    ): "an item that is cut off or too long ends the run in either way",
    (
        "onnxfile.lists.varint_fields",
        "width = varint_size(int(np.max(values))) if len(values) else 1",
        "width = varint_size(int(np.max(values))) if len(values) else 2",
    ): "no numbers are no bytes",
    (
        "onnxfile.lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 129)",
    ): _A_GUESS,
    (
        "onnxfile.lists._varints_of_one_width",
        "alike &= rows[:, index] >= 128",
        "alike &= rows[:, index] >= 129",
    ): _OTHER_WAY,
    ("onnxfile.lists._any_varints", "starts[:1] = 0", "starts[:2] = 0"): "the next line sets the second",
    (
        "onnxfile.lists._any_varints",
        "tags, last = ends[:len(ends) // 2 * 2].reshape(-1, 2).T",
        "tags, last = ends[:len(ends) // 2 * 2].reshape(-2, 2).T",
    ): _NEGATIVE,
    (
        "onnxfile.lists.fixed_values",
        "rows = np.frombuffer(data, np.uint8).reshape(-1, head + width)",
        "rows = np.frombuffer(data, np.uint8).reshape(-2, head + width)",
    ): _NEGATIVE,
    (
        "onnxfile.lists.fixed_values",
        "return np.ascontiguousarray(rows[:, head:]).view(f'<u{width}').reshape(-1)",
        "return np.ascontiguousarray(rows[:, head:]).view(f'<u{width}').reshape(-2)",
    ): _NEGATIVE,
    (
        "onnxfile.lists.fixed_fields",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-1, width)",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-2, width)",
    ): _NEGATIVE,
    (
        "onnxfile.lists._chain",
        "chain = np.stack((chain, ahead[chain]), axis=1).reshape(-1)",
        "chain = np.stack((chain, ahead[chain]), axis=1).reshape(-2)",
    ): _NEGATIVE,
    (
        "onnxfile.lists._chain",
        "numbers = np.full(size + 1, count)",
        "numbers = np.full(size + 2, count)",
    ): "a place more, which nothing leads to",
    (
        "onnxfile.lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head - MAX_VARINT_BYTES] < 128)",
    ): _A_GUESS,
    (
        "onnxfile.lists._varints_of_one_width",
        "alike &= rows[:, -1] == 1 if width == MAX_VARINT_BYTES else rows[:, -1] != 0",
        "alike &= rows[:, -2] == 1 if width == MAX_VARINT_BYTES else rows[:, -1] != 0",
    ): _OTHER_WAY,
    (
        "onnxfile.lists.fixed_fields",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-1, width)",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=True).view(np.uint8).reshape(-1, width)",
    ): "a copy has the same bits",
    (
        "onnxfile.lists.read_spelled",
        "return (b''.join([data[at - width:at] for at in range(start + step, end + 1, step)]), end)",
        "return (b''.join([data[at - width:at] for at in range(start + step, end + 2, step)]), end)",
    ): "an item has two bytes at least",
    ("onnxfile.lists.pieces", "size *= 2", "size *= 3"): "a longer piece has the same items",
    (
        "onnxfile.lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 3 * count * stride < len(numbers):",
    ): "pieces are shorter, and their items the same",
    ("onnxfile.lists.pieces", "while start < end:", "while start <= end:"): "in no bytes there is no item",
    (
        "onnxfile.lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] <= 128)",
    ): _A_GUESS,
    (
        "onnxfile.lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] >= 128)",
    ): _A_GUESS,
    ("onnxfile.lists._varints_of_one_width", "alike = rows[:, -1] < 128", "alike = rows[:, -1] >= 128"): _OTHER_WAY,
    (
        "onnxfile.lists._varints_of_one_width",
        "if width > 1:",
        "if width >= 1:",
    ): "a zero of one byte ends the piece, and the next piece begins with it",
    (
        "onnxfile.lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count * stride <= len(numbers):",
    ): _OTHER_WAY,
    (
        "onnxfile.lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count * stride >= len(numbers):",
    ): "pieces are shorter, and their items the same",
    (
        "onnxfile.locate._field_at",
        "while position < end:",
        "while position <= end:",
    ): "the byte lies before the end, so nothing is found there",
    (
        "onnxfile.locate._field_at",
        "return (f'field {number}', None, content, content + length)",
        "return (f'field {number}', None, content, content - length)",
    ): "nobody looks into an unknown field, so its end is not used",
    (
        "onnxfile.messages._within",
        "groups += 1 if kind == START_GROUP else -1",
        "groups += 1 if kind != START_GROUP else -1",
    ): "counted downwards; what is not 0 is within a group",
    ("onnxfile.schema._build_pool", "onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)", "pass"): _IMPORTED,
    ("onnxfile.schema._build_pool", "pool.AddSerializedFile(file.SerializeToString())", "pass"): _IMPORTED,
    ("onnxfile.schema._make_exact", "_make_exact(nested)", "pass"): _IMPORTED,
    ("onnxfile.schema._build_pool", "_make_exact(message)", "pass"): _IMPORTED,
    ("onnxfile.schema._make_exact", "if exact is not None:", "if exact is None:"): _IMPORTED,
    ("onnxfile.schema._make_exact", "field.ClearField('type_name')", "pass"): _IMPORTED,
    (
        "onnxfile.schema._make_exact",
        "field.ClearField('default_value')",
        "pass",
    ): "no field of ONNX that gets another type has a default",
    (
        "onnxfile.skeleton.read_marker",
        "if len(content) != MARKER_BYTES or not content.startswith(nonce):",
        "if len(content) != MARKER_BYTES and (not content.startswith(nonce)):",
    ): "the marker is compared as a whole after it",
    ("onnxfile.skeleton._find_all", "while position >= 0:", "while position > 0:"): "a tag stands before each marker",
    ("onnxfile.skeleton._find_all", "while position >= 0:", "while position >= 1:"): "a tag stands before each marker",
    (
        "onnxfile.skeleton.selects",
        "return bool(route.fields) and first < len(places) and (places[first] < end)",
        "return bool(route.fields) and first < len(places) and (places[first] <= end)",
    ): _MORE_WORK,
    (
        "onnxfile.skeleton.selects",
        "return end - start > shortest_message and bool(route.fields)",
        "return end - start >= shortest_message and bool(route.fields)",
    ): _MORE_WORK,
    (
        "onnxfile.skeleton.selects",
        "return end - start > shortest_message and bool(route.fields)",
        "return end + start > shortest_message and bool(route.fields)",
    ): _MORE_WORK,
    ("onnxfile.source._read_some", "os.lseek(descriptor, offset, os.SEEK_SET)", "pass"): "runs on Windows only",
    ("onnxfile.source.read", "if len(data) < length:", "if len(data) <= length:"): "the rest is no bytes",
    (
        "onnxfile.source.close",
        "descriptor, self._descriptor = (self._descriptor, -1)",
        "descriptor, self._descriptor = (self._descriptor, -2)",
    ): "any negative number says that it is closed",
    (
        "parameters.chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pass",
    ): "where the thread did not start, there is none to wait for",
    (
        "parameters.chunks.__init__",
        "self._pool = _thread() if descriptor is not None and sys.platform == 'linux' else None",
        "self._pool = _thread() if descriptor is not None or sys.platform == 'linux' else None",
    ): "a thread that gets no work",
    (
        "parameters.chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pool.shutdown(wait=True, cancel_futures=True)",
    ): "where the thread did not start, there is none to wait for",
    (
        "parameters.chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pool.shutdown(wait=False, cancel_futures=False)",
    ): "the one call in it is `int`, which nobody waits for",
    (
        "parameters.safetensors.header_of",
        "for tensor, offset in zip(layout.order, layout.offsets, strict=True):",
        "for tensor, offset in zip(layout.order, layout.offsets, strict=False):",
    ): "there are as many offsets as tensors",
    (
        "parameters.safetensors.parse_header",
        "kind = 'overlaps the tensor before it' if tensor.offset < end else 'leaves a gap before it'",
        "kind = 'overlaps the tensor before it' if tensor.offset <= end else 'leaves a gap before it'",
    ): "it is not the end, as the line before says",
    (
        "parameters.store._open",
        "descriptor = os.open(path, OPEN_FLAGS | getattr(os, 'O_NOFOLLOW', 0))",
        "descriptor = os.open(path, OPEN_FLAGS | getattr(os, 'O_NOFOLLOW', 1))",
    ): "what systems without O_NOFOLLOW have, and no test runs there",
    (
        "parameters.transfer.collect",
        "threaded = source.size > limits.LIMITS.threads",
        "threaded = source.size >= limits.LIMITS.threads",
    ): "threads change how long it takes, and nothing else",
    (
        "parameters.transfer.collect",
        "threaded = source.size > limits.LIMITS.threads",
        "threaded = source.size <= limits.LIMITS.threads",
    ): "threads change how long it takes, and nothing else",
    (
        "parameters.transfer._cut",
        "while current < len(payloads) and payloads[current].offset < end:",
        "while current < len(payloads) and payloads[current].offset <= end:",
    ): "a part of no bytes more, where a payload starts with the next chunk",
    (
        "codec.residue.make_residue",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) + len(patch))",
        "too_long = len(original) >= _MAX_GROWTH * (len(canonical) + len(patch))",
    ): "both patches give the same file; the limit is on how well they compress",
    (
        "codec.residue._prefix",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 8 else None",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) > 8 else None",
    ): "both directions do the same, and so short a dictionary saves nothing",
    (
        "codec.residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(32, max(10, size.bit_length() + 1))",
    ): "windows of more than 2 GiB, which no skeleton has",
    (
        "codec.residue.make_residue",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) + len(patch))",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) - len(patch))",
    ): "both patches give the same file; the limit is on how well they compress",
    (
        "codec.residue._prefix",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 8 else None",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 9 else None",
    ): "both directions do the same, and so short a dictionary saves nothing",
    (
        "codec.residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(31, max(11, size.bit_length() + 1))",
    ): "a larger window than needed",
    (
        "codec.residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(31, max(10, size.bit_length() + 2))",
    ): "a larger window than needed",
    (
        "codec.residue.apply",
        "original = decompressor.decompress(self.patch, max_length=self.size + 1)",
        "original = decompressor.decompress(self.patch, max_length=self.size + 2)",
    ): "two bytes too many are too many as well",
}
