"""``python -m flows <command>``: what can be done with the pipeline as a whole."""

import argparse
import sys
from collections.abc import Callable, Sequence

# Nothing heavy at the top: `--help` answers before any library is loaded. Each command
# imports what it needs in its own function.


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    from tasks.io.stage import StageError

    try:
        return command(options)
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: every stage that was running has been stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    text = "run the whole pipeline as a Prefect flow, one task a stage"
    train = commands.add_parser("train", help=text, description=text)
    train.add_argument(
        "--profile",
        metavar="NAME",
        help="first write the values of this profile of params.yaml into params.yaml",
    )
    train.set_defaults(command=_train)

    text = "say in words what would run now, and what has run since a commit, and why"
    explain = commands.add_parser("explain", help=text, description=text)
    explain.add_argument(
        "rev",
        metavar="REV",
        nargs="?",
        help="the commit, branch or tag to compare dvc.lock with (HEAD if none is named)",
    )
    explain.set_defaults(command=_explain)
    return parser


def _train(options: argparse.Namespace) -> int:
    from flows.run import train

    return train(options.profile)


def _explain(options: argparse.Namespace) -> int:
    from flows.explain import explain

    return explain(options.rev)


if __name__ == "__main__":
    sys.exit(main())
