"""The root of the command line: lazy subcommands and the one error boundary."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from ensemble_htr import __version__
from ensemble_htr.errors import EnsembleError, UsageError, did_you_mean, printable

__all__ = ["COMMANDS", "KEPT", "cli", "main", "names_argument", "when_interrupted"]

PROGRAM = "ensemble-htr"
DEBUG_VARIABLE = "ENSEMBLE_HTR_DEBUG"
COMPLETION_VARIABLE = "_ENSEMBLE_HTR_COMPLETE"

# name -> one line of help, shown without importing the command's module
COMMANDS: dict[str, str] = {
    "demo": "Read the bundled page and show what came out.",
    "transcribe": "Read images and PAGE/ALTO pages with all recognizers together.",
    "combine": "Merge the readings of any engines into one, with confidences.",
    "fit": "Learn from a ground truth how much to believe each engine.",
    "evaluate": "Compare systems with a ground truth: CER, WER, intervals.",
    "finetune": "Adapt the whole ensemble to your own hand, from some transcribed lines.",
    "train": "Train a recognizer from a recipe.",
    "lm": "Build language models.",
    "lexicon": "Build lists of names and places, and ask them.",
    "pack": "Build language packs: all that a language brings, under one name.",
    "models": "List, show and export what is on the shelves.",
    "preview": "Show what happens to a page before it is read, in one picture.",
    "doctor": "Show what this machine has, and what is to be done.",
}

KEPT = "finished pages are kept, run the same command to resume"
_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())  # carries the help (click 8.2)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, never to print the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ensemble_htr.cli.{cmd_name}")
        command = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module.__name__}.{cmd_name} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 something failed (and what), 2 wrong usage.",
)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Read hard handwriting with several recognizers that are aligned, rescored and judged.

    Data goes to stdout, talk to stderr. `ensemble-htr COMMAND --help` explains a command.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    if COMPLETION_VARIABLE in os.environ:  # a shell asks what could follow
        cli.main(prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE)
    words = list(sys.argv[1:] if arguments is None else arguments)
    logging.lastResort = _Talk(logging.WARNING)  # notices outside a run, which says its own
    sys.exit(_guarded(lambda: _invoke(words)))


def names_argument(option: str, value: str | None) -> tuple[str, ...] | None:
    """``a,b`` as names, each once; None if the option was not given. Raises `UsageError`."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{option} names nothing; wanted for example crnn,gated")
    return tuple(dict.fromkeys(names))


@contextmanager
def when_interrupted(kept: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C in the block says what ``kept`` gives (what is kept, how to go on), unless whoever
    stopped has said so."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or kept()) from None


class _Talk(logging.Handler):
    """Notices of our own code as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(record.getMessage())


def _invoke(words: list[str]) -> Any:
    """What `click.Command.main` does, less its own handling of interrupts and closed pipes."""
    with cli.make_context(PROGRAM, words) as context:
        return cli.invoke(context)


def _guarded(run: Callable[[], Any]) -> int:
    """Turn everything that can go wrong into one line on stderr and an exit status."""
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except EnsembleError as error:
        _complain(str(error))
        return error.exit_code
    except click.exceptions.Exit as end:  # --help, --version, ctx.exit()
        return end.exit_code
    except click.ClickException as error:
        if isinstance(error, _NO_ARGUMENTS):
            click.echo(error.format_message(), err=True)
            return 2
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        _complain(error.format_message() + hint)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # leave the line with ^C and the progress bar
        _say(f"interrupted; {stop}" if str(stop) else "interrupted")
        return 130
    except BrokenPipeError:  # the reader of our stdout went away (`| head`): nothing to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        name = type(error).__name__
        _complain(f"unexpected {name}: {error}; run with {DEBUG_VARIABLE}=1 for the traceback")
        return 1


def _complain(message: str) -> None:
    _say(f"{PROGRAM}: error: {message}")


def _say(message: str) -> None:
    print(printable(message), file=sys.stderr)
