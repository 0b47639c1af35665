"""``riemann-noise VERB ...``: finds the verb, loads it, and turns what goes wrong into one line.

Torch is imported by the verbs, not here, so that help comes at once. What the user can mend leaves with
exit code 2 and one line on stderr; a fault of ours keeps its traceback.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from riemann_noise_pytorch.errors import RiemannNoiseError, unknown_name

PROGRAM = "riemann-noise"


class Verb(NamedTuple):
    """Where a verb lives and what it does.

    Args:
        module: Its module in ``riemann_noise_pytorch.cli``, with a function ``main(arguments) -> None``.
        summary: One line for the help.
    """

    module: str
    summary: str


VERBS = {
    "train": Verb("train", "train a GAN, without noise or with noise of either kind"),
    "sample": Verb("sample", "write a grid of images from a trained generator"),
    "evaluate": Verb("evaluate", "measure a generator by FID, IS, KID, precision, PPL, MC and more"),
    "diagnose": Verb("diagnose", "show where a generator loses dimensions, and what to try"),
    "invert": Verb("invert", "find the latents and the noise from which a generator makes given images"),
    "compare": Verb("compare", "train with no, Euclidean and Riemannian noise, measure, and write a report"),
    "inversion-study": Verb(
        "inversion_study", "see with which kind of noise the generators of a comparison invert images best"
    ),
    "trap": Verb("trap", "train generators of too few and of enough dimensions on data of known dimension"),
    "verify-theory": Verb("verify_theory", "hold each lemma and theorem of the paper against an experiment"),
    "rescue": Verb(
        "rescue", "see which regulariser rescues a GAN that collapses, and at what cost elsewhere"
    ),
    "toy": Verb("toy", "see what regularisation does to small GANs on a mixture of Gaussians"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; ``sys.argv[1:]`` by default.

    Returns:
        The exit code: 0, or 2 where the user can mend what went wrong, or 128 plus the number of the signal
        that stopped it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _dispatch(given)
        sys.stdout.flush()
    except RiemannNoiseError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # Python flushes stdout once more on its way out; what reads the pipe has already left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _fail(f"out of memory ({_first_line(error)}); take a smaller batch or resolution", 2)
    return 0


def _dispatch(given: list[str]) -> None:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
    elif given[0] in ("-V", "--version"):
        print(f"{PROGRAM} {import_module('riemann_noise_pytorch').__version__}")
    elif given[0] in VERBS:
        _load(VERBS[given[0]])(given[1:])
    else:
        raise unknown_name("verb", given[0], VERBS)


def _load(verb: Verb) -> Callable[[Sequence[str]], None]:
    function: Callable[[Sequence[str]], None] = import_module(f"riemann_noise_pytorch.cli.{verb.module}").main
    return function


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}} {verb.summary}" for name, verb in VERBS.items())
    return f"""usage: {PROGRAM} VERB [OPTIONS]

Noise injection for GAN generators: put it in, see what it does, prove that it helped.

verbs:
{verbs}

  {PROGRAM} VERB --help explains the options of a verb.
  {PROGRAM} --version   prints the version."""


def _fail(message: str, exit_code: int) -> int:
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return exit_code


def _is_out_of_memory(error: BaseException) -> bool:
    # torch has one class for accelerators, and for the CPU only a RuntimeError with these words
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
