"""What every refusal of a hostile input has to be: the project's own error, about this input, with all that helps."""

from __future__ import annotations

import re

from graphml_onnx import ExternalDataError, GraphMLError, InputError, NotExactError, OutputError, PayloadError
from graphml_onnx.errors import GraphmlOnnxError

_OF_GRAPHS = (GraphMLError, PayloadError, NotExactError, ExternalDataError, InputError, OutputError)

# These are about a file as a whole, which has no place, or name it in their own words.
_WHOLE = re.compile(
    r"holds no HTP metadata|is not GraphML in UTF-8|no node has the kind 'model'|is of an earlier format|is empty"
    r"|was encoded$|the file of payloads is missing|bytes, but the GraphML says|symbolic link|not a regular file"
    r"|is not a JSON object|has no '(?:modules|nodes)'|the payload of [\d,]+ bytes at offset [\d,]+ "
    r"|the tensor '.*' needs|the payload at byte [\d,]+ needs|lacks the tensor '"
    r"|not UTF-8"
    r"|the GraphML has payloads, but"
    r"|is a data file of the model, but"
)


def check_complete(error: GraphmlOnnxError, kinds: tuple[type[GraphmlOnnxError], ...] = _OF_GRAPHS) -> str:
    """Makes sure that an error says what is wrong with which file, where, and what to do, in a line; gives its name.

    Args:
        error: what a call ended with.
        kinds: what it may be; a bad input is no lack of space, no wrong usage, and no failed self-check.
    """
    assert type(error) in kinds, repr(error)
    assert error.file, error
    assert error.remedy, error
    whole = isinstance(error, InputError | OutputError) or _WHOLE.search(error.message)
    assert error.place or whole, f"no place: {error}"
    assert str(error).isprintable(), error
    assert len(str(error)) < 10_000, "nobody reads so much"
    return type(error).__name__
