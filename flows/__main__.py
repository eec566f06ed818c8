"""``python -m flows <command>``: what can be done with the pipeline as a whole."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        stopped = ": every stage that was running has been stopped"
        print(f"interrupted{stopped if command is _train else ''}", file=sys.stderr)
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
    train.add_argument("--reason", metavar="TEXT", help="why, for those who ask later")
    train.set_defaults(command=_train)

    text = "serve Prefect's pages, schedules and events of this clone, until Ctrl-C"
    serve = commands.add_parser("serve", help=text, description=text)
    serve.add_argument(
        "--port",
        metavar="NUMBER",
        type=int,
        default=4200,
        help="on 127.0.0.1 (default: 4200); 0: any that is free",
    )
    serve.set_defaults(command=_serve)

    text = "say in words what would run now, and what has run since a commit, and why"
    explain = commands.add_parser("explain", help=text, description=text)
    explain.add_argument(
        "rev",
        metavar="REV",
        nargs="?",
        help="the commit, branch or tag to compare dvc.lock with (HEAD if none is named)",
    )
    explain.set_defaults(command=_explain)
    _add_scoring(commands)
    _add_monitor(commands)
    _add_feedback(commands)
    _add_registry(commands)
    _add_example(commands)
    return parser


def _add_scoring(commands: Any) -> None:
    version = {"metavar": "VERSION", "help": "such as v0.0.2; the champion if none is named"}
    text = "score images in bulk: a table of answers, Parquet or CSV"
    score = commands.add_parser("score", help=text, description=text)
    score.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="files of any format, folders, globs; - is standard input",
    )
    score.add_argument(
        "--output",
        metavar="FILE",
        default="scores.parquet",
        help="ends in .parquet or .csv; - prints CSV (default: scores.parquet)",
    )
    score.add_argument("--overwrite", action="store_true", help="replace an output of another job")
    score.add_argument("--version", **version)
    score.set_defaults(command=_score)

    text = "answer single images"
    predict = commands.add_parser("predict", help=text, description=text)
    predict.add_argument("paths", metavar="IMAGE", nargs="+", help="any file that `score` reads")
    predict.add_argument("--json", action="store_true", help="for machines, one line an image")
    predict.add_argument("--version", **version)
    predict.set_defaults(command=_predict)


def _add_monitor(commands: Any) -> None:
    text = "judge the batches that arrived in data/incoming, in order; alarms start a training"
    monitor = commands.add_parser("monitor", help=text, description=text)
    monitor.add_argument("names", metavar="NAME", nargs="*", help="only these batches")
    monitor.add_argument(
        "--since",
        metavar="WHEN",
        help="a time (ISO 8601) or a batch: judge again all that arrived from then on",
    )
    monitor.add_argument(
        "--train",
        action="store_true",
        help="without a Prefect server: run the training that an alarm starts, in this process",
    )
    monitor.add_argument("--fail-on-alarm", action="store_true", help="exit status 3 on an alarm")
    monitor.set_defaults(command=_monitor)


def _add_feedback(commands: Any) -> None:
    text = "take corrected labels into the training data, once every line of them is checked"
    feedback = commands.add_parser("feedback", help=text, description=text)
    feedback.add_argument(
        "file", metavar="FILE.csv", type=Path, help="CSV with id (or file), label, who; why"
    )
    feedback.set_defaults(command=_feedback)


def _add_example(commands: Any) -> None:
    text = "write a batch of digits to try things with: photographs, or damaged in a known way"
    example = commands.add_parser("example", help=text, description=text)
    example.add_argument(
        "kind", metavar="KIND", help="photographs, digits, or a kind of damage, such as blur"
    )
    example.add_argument("folder", metavar="FOLDER", help="a new folder for the pictures")
    example.add_argument("--images", metavar="N", type=int, default=500, help="how many (500)")
    example.add_argument(
        "--severity", type=int, choices=(1, 2, 3), default=2, help="of the damage: 1, 2 or 3 (2)"
    )
    example.add_argument("--seed", metavar="N", type=int, default=0, help="another draw (0)")
    example.add_argument(
        "--truth", metavar="FILE", help="a csv for the labels, as `feedback` takes them"
    )
    example.set_defaults(command=_example)


def _add_registry(commands: Any) -> None:
    text = "make a version champion if the gate says so today, or by force"
    promote = commands.add_parser("promote", help=text, description=text)
    promote.add_argument("version", metavar="VERSION", help="such as v0.0.2")
    _add_force(promote, "whatever the gate would say; needs a reason and stays in the history")
    promote.set_defaults(command=_promote)

    text = "make the champion before the current one champion again, once it is verified"
    rollback = commands.add_parser("rollback", help=text, description=text)
    rollback.add_argument("--to", metavar="VERSION", help="any version that was champion once")
    _add_force(rollback, "even to a version of which no known answers were recorded")
    rollback.set_defaults(command=_rollback)

    text = "who was champion from when to when, why and by whom; what was refused"
    history = commands.add_parser("history", help=text, description=text)
    history.add_argument("--json", action="store_true", help="for machines, oldest first")
    history.set_defaults(command=_history)

    text = "all versions, or everything that is recorded about one"
    show = commands.add_parser("show", help=text, description=text)
    show.add_argument("version", metavar="VERSION", nargs="?", help="such as v0.0.2")
    show.set_defaults(command=_show)

    text = "the chain from a decision back to data, code and parameters, every hash verified"
    trace = commands.add_parser("trace", help=text, description=text)
    trace.add_argument(
        "what",
        metavar="VERSION|PREDICTION",
        help="a version, or the id of a row of reports/evaluate/answers.csv",
    )
    trace.set_defaults(command=_trace)


def _add_force(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--force", action="store_true", help=text)
    parser.add_argument("--reason", metavar="TEXT", help="why, for those who ask later")


def _train(options: argparse.Namespace) -> int:
    from flows.run import train

    return train(options.profile, options.reason)


def _serve(options: argparse.Namespace) -> int:
    from flows.serve import serve

    return serve(options.port)


def _explain(options: argparse.Namespace) -> int:
    from flows.explain import explain

    return explain(options.rev)


def _score(options: argparse.Namespace) -> int:
    from flows.scoring_words import run

    return run(options.paths, options.output, options.version, options.overwrite)


def _predict(options: argparse.Namespace) -> int:
    from flows.predicting import predict

    return predict(options.paths, options.version, options.json)


def _monitor(options: argparse.Namespace) -> int:
    from flows.watch import monitor

    return monitor(options.names, options.since, options.train, options.fail_on_alarm)


def _feedback(options: argparse.Namespace) -> int:
    from flows.feedback import feedback

    return feedback(options.file)


def _example(options: argparse.Namespace) -> int:
    from flows.example import Wanted, example

    wanted = Wanted(options.kind, options.images, options.severity, options.seed)
    return example(Path(options.folder), wanted, Path(options.truth) if options.truth else None)


def _promote(options: argparse.Namespace) -> int:
    from flows.registry import promote

    return promote(options.version, options.reason, options.force)


def _rollback(options: argparse.Namespace) -> int:
    from flows.registry import rollback

    return rollback(options.to, options.reason, options.force)


def _history(options: argparse.Namespace) -> int:
    from flows.records import tell

    return tell(options.json)


def _show(options: argparse.Namespace) -> int:
    from flows.records import show

    return show(options.version)


def _trace(options: argparse.Namespace) -> int:
    from flows.tracing import trace

    return trace(options.what)


if __name__ == "__main__":
    sys.exit(main())
