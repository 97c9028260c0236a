"""The commands, and the options before them."""

from pathlib import Path
from typing import Annotated, cast

import typer
from typer.main import get_command

from graphml_onnx import __version__
from graphml_onnx.errors import UsageError

from . import (
    about,
    batch,
    config,
    decode,
    diff,
    encode,
    explain,
    export,
    extract,
    functions,
    inline,
    inspect,
    replace,
    tables,
    textconv,
    validate,
    verify,
    view,
)
from .exits import DONE
from .show import document, out

# All errors about a command line are subclasses of this class, which has no public name in typer.
_TyperUsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])

EPILOG = """\b
Examples:
  g2o encode model.onnx
  g2o decode model.graphml -o restored.onnx
  g2o verify model.onnx

\b
Exit codes:
  0   done                        70   internal error
  1   a check found a difference  73   output cannot be created
  2   wrong usage                 74   input/output error
  65  bad data                    130  interrupted
  66  input missing, unreadable   143  terminated
"""

app = typer.Typer(
    name="g2o",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=batch.EXAMPLES)(batch.batch)
app.command(epilog=encode.EXAMPLES)(encode.encode)
app.command(epilog=decode.EXAMPLES)(decode.decode)
app.command(epilog=diff.EXAMPLES)(diff.diff)
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=extract.EXAMPLES)(extract.extract)
app.command(epilog=functions.EXAMPLES)(functions.functions)
app.command(epilog=inline.EXAMPLES)(inline.inline)
app.command(epilog=inspect.EXAMPLES)(inspect.inspect)
app.command(epilog=replace.EXAMPLES)(replace.replace)
app.command(epilog=tables.EXAMPLES)(tables.tables)
app.command(epilog=textconv.EXAMPLES)(textconv.textconv)
app.command(epilog=validate.EXAMPLES)(validate.validate)
app.command(epilog=verify.EXAMPLES)(verify.verify)
app.command(epilog=view.EXAMPLES)(view.view)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def g2o(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --version: print all versions as JSON, for a bug report.")
    ] = False,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", readable=False, metavar="FILE", help="Defaults for options (TOML); goes before the command."
        ),
    ] = None,
) -> None:
    """See, compare, edit and analyse ONNX models as graphs, and get the file back byte for byte."""
    if version and json:
        document(about.document())
        raise typer.Exit
    if version:
        out(f"g2o {__version__}")
        raise typer.Exit
    if json:
        raise UsageError("--json goes after the command, or with --version", remedy="see g2o --help")
    if config_file is not None:
        context.default_map = config.read(config_file, getattr(context.command, "commands", {}))
    if context.invoked_subcommand is None:
        out(context.get_help())


def invoke() -> int:
    """Runs the command that ``sys.argv`` asks for.

    Returns:
        The exit code, if the command ends without an exception.

    Raises:
        UsageError: the command line cannot be parsed.
    """
    try:
        result: object = get_command(app).main(prog_name="g2o", standalone_mode=False)
    except _TyperUsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        command = getattr(getattr(error, "ctx", None), "command_path", "g2o")
        raise UsageError(" ".join(message.split()).rstrip("."), remedy=f"see {command} --help") from error
    return result if isinstance(result, int) else DONE
