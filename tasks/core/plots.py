"""Figures as SVG text: arrays in, a drawing out.

Every drawing is transparent and takes its colours from a few CSS variables, so that one file
reads well in light and dark. The colours are those of Okabe and Ito, which people with any
form of colour blindness can tell apart; line styles say the same once more.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _GRID, _BLUE, _VERMILION = "#1c1b1f", "#dcd9d3", "#0072b2", "#d55e00"
_DARK = {_INK: "#e9e7ec", _GRID: "#3a3942", _BLUE: "#56b4e9", _VERMILION: "#ff8a3d"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, readable by machines
    "svg.hashsalt": "digitline",  # ids without chance, so that equal data give equal files
    "text.parse_math": False,  # a dollar sign in a model's name is no formula
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
}
_WIDTH = 4.8  # inches; at this size the text can still be read on a phone


_LONG = 4  # letters of a name from which on names stand upright below a figure
_ACROSS = 110  # points of text in a row of the confusion matrix


class History(NamedTuple):
    """One network's course, ``(epochs,)`` each: epochs from 1, training and held-out values."""

    epoch: np.ndarray
    training: np.ndarray
    held_out: np.ndarray


class Estimate(NamedTuple):
    """A fraction with its interval, for one row of a chart."""

    name: str
    value: float
    low: float
    high: float
    strong: bool


def samples(images: np.ndarray, labels: np.ndarray, classes: Sequence[str], per_class: int) -> str:
    """Draw the first ``per_class`` images ``(n, 28, 28)`` uint8 of every class, a row each."""
    places = range(len(classes))
    with _figure(_WIDTH * len(classes) / per_class) as (figure, axes):
        sheet = montage([images[labels == place][:per_class] for place in places], per_class)
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="none")
        side = images.shape[1]
        axes.set_yticks(np.arange(len(classes)) * side + side / 2, classes)
        axes.set(ylabel="label", xticks=[])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return _svg(figure)


def montage(rows: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return one sheet with a line of images ``(k, h, w)``, k at most ``columns``, a row."""
    height, width = rows[0].shape[1:]
    sheet = np.zeros((len(rows), columns, height, width), np.uint8)
    for row, images in enumerate(rows):
        sheet[row, : len(images)] = images
    return sheet.swapaxes(1, 2).reshape(len(rows) * height, columns * width)


def curves(histories: Mapping[str, History], quantity: str) -> str:
    """Draw the course of some networks; with more than one, their mean in bold.

    ``quantity`` names the values with their unit.
    """
    from matplotlib.ticker import MaxNLocator

    with _figure(3.4) as (figure, axes):
        several = len(histories) > 1
        for history in histories.values():
            _course(axes, history, {"alpha": 0.35, "lw": 1.0} if several else {"lw": 2.0})
        if several:
            _course(axes, _mean(list(histories.values())), {"lw": 2.4})
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        lines = axes.get_lines()[-2:]
        axes.legend(lines, ["training images", "held-out images"])
        return _svg(figure)


def _course(axes: "Axes", history: History, style: dict[str, Any]) -> None:
    dots: dict[str, Any] = {"marker": "o", "ms": 2 * style["lw"]}
    axes.plot(history.epoch, history.training, "--", c=_BLUE, **dots, **style)
    axes.plot(history.epoch, history.held_out, "-", c=_VERMILION, **dots, **style)


def _mean(histories: list[History]) -> History:
    """Average over the epochs that all of the networks have."""
    epochs = min(len(history.epoch) for history in histories)
    stacked = np.array([[values[:epochs] for values in history] for history in histories])
    return History(*stacked.mean(0))


def confusion(matrix: np.ndarray, classes: Sequence[str], noun: str) -> str:
    """Draw counts ``(classes, classes)``, rows true, columns predicted; errors are coloured.

    ``noun`` is what a class is called. The right answers outnumber the errors by far: on one
    scale no error would be seen.
    """
    errors = matrix * ~np.eye(len(matrix), dtype=bool)
    with _figure(_WIDTH) as (figure, axes):
        for actual, predicted in np.argwhere(matrix > 0):
            shade = errors[actual, predicted] / max(errors.max(), 1)
            cell: dict[str, Any] = {"color": _VERMILION, "alpha": 0.15 + 0.6 * shade, "lw": 0}
            if actual != predicted:
                axes.axvspan(predicted - 0.5, predicted + 0.5, *_span(actual, matrix), **cell)
            _write(axes, predicted, actual, matrix, bold=actual == predicted)
        limits = (-0.5, len(matrix) - 0.5)
        axes.set(xlabel=f"predicted {noun}", ylabel=f"true {noun}", aspect="equal")
        axes.set(xlim=limits, ylim=limits[::-1])
        longest = max(map(len, classes))
        axes.set_xticks(range(len(matrix)), classes, rotation=0 if longest < _LONG else 90)
        axes.set_yticks(range(len(matrix)), classes)
        axes.grid(visible=False)
        return _svg(figure)


def _span(row: int, matrix: np.ndarray) -> tuple[float, float]:
    """Return where a row's cells begin and end, as shares of the height, from the bottom."""
    return 1 - (row + 1) / len(matrix), 1 - row / len(matrix)


def _write(axes: "Axes", x: int, y: int, matrix: np.ndarray, *, bold: bool) -> None:
    weight = "bold" if bold else "normal"
    size = min(8, _ACROSS / len(matrix))  # points
    axes.text(x, y, str(matrix[y, x]), ha="center", va="center", size=size, weight=weight)


def reliability(confidence: np.ndarray, rates: Sequence[Estimate]) -> str:
    """Draw how often answers are right, with intervals, against the mean confidence of each bin.

    ``confidence`` is ``(bins,)`` in [0, 1].
    """
    with _figure(_WIDTH) as (figure, axes):
        x, y = 100 * confidence, _centres(rates)
        lowest = min(x.min(), *(100 * rate.low for rate in rates))
        axes.plot([lowest, 100], [lowest, 100], ":", c=_INK, label="perfectly calibrated")
        whiskers: dict[str, Any] = {"fmt": "o", "c": _VERMILION, "capsize": 2, "ms": 5}
        axes.errorbar(x, y, _whiskers(rates), **whiskers, label="a bin of test images")
        axes.set(xlabel="mean confidence (%)", ylabel="right answers (%)", aspect="equal")
        axes.legend(loc="upper left")
        return _svg(figure)


def coverage(courses: Mapping[str, np.ndarray], marks: Mapping[str, tuple[float, float]]) -> str:
    """Draw risk by coverage of each course, ``(points, 2)`` fractions, and a mark on each.

    Coverage below 90 % is left out: nobody hands so many images to a person.
    """
    with _figure(3.4) as (figure, axes):
        looks = zip(courses.items(), (("-", _VERMILION, "D"), ("--", _BLUE, "o")), strict=False)
        for (name, course), (line, colour, shape) in looks:
            x, y = (100 * course[course[:, 0] >= 0.9]).T
            axes.plot(x, y, line, c=colour, lw=2, label=name)
            axes.plot(*(100 * np.array(marks[name])), shape, c=colour, ms=7)
        axes.set(xlabel="images that get an answer (%)", ylabel="wrong answers among them (%)")
        axes.set(xlim=(90, 100), ylim=(0, None))
        axes.legend(loc="upper left")
        return _svg(figure)


def grid(rows: Mapping[str, np.ndarray], columns: Sequence[str]) -> str:
    """Draw a line of images ``(k, h, w)`` uint8 for each name; ``columns`` head equal parts."""
    sheet = montage(list(rows.values()), len(next(iter(rows.values()))))
    height, width = sheet.shape
    with _figure(_WIDTH * height / width + 0.3) as (figure, axes):
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="none")
        axes.set_yticks((np.arange(len(rows)) + 0.5) * height / len(rows), list(rows))
        axes.set_xticks((np.arange(len(columns)) + 0.5) * width / len(columns), columns)
        axes.xaxis.tick_top()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return _svg(figure)


def errors(rates: Sequence[Estimate]) -> str:
    """Draw each model's error rate with its interval on a logarithmic scale, first on top."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    with _figure(0.9 + 0.26 * len(rates)) as (figure, axes):
        places = np.arange(len(rates))[::-1]
        for place, rate in zip(places, rates, strict=True):
            colour, shape = (_VERMILION, "D") if rate.strong else (_BLUE, "o")
            bars: dict[str, Any] = {"c": colour, "capsize": 3, "fmt": shape, "ms": 5}
            axes.errorbar(_centres([rate]), [place], xerr=_whiskers([rate]), **bars)
        axes.set(xscale="log", xlabel="wrong test images (%, logarithmic scale)")
        axes.set_yticks(places, [rate.name for rate in rates])
        axes.set_xlim(*_decades(rates))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=False, axis="y")
        return _svg(figure)


def _decades(rates: Sequence[Estimate]) -> tuple[float, float]:
    """Return limits in percent that hold every interval and at least one labelled decade."""
    low = min(100 * max(rate.low, 1e-5) for rate in rates)
    high = max(100 * rate.high for rate in rates)
    return 10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high))


def _centres(rates: Sequence[Estimate]) -> np.ndarray:
    return np.array([100 * rate.value for rate in rates])


def _whiskers(rates: Sequence[Estimate]) -> np.ndarray:
    """Return the intervals' distances from their values, ``(2, n)`` percent, never negative."""
    spans = [(rate.value - rate.low, rate.high - rate.value) for rate in rates]
    return 100 * np.maximum(np.array(spans).T, 0)


@contextmanager
def _figure(height: float) -> "Iterator[tuple[Figure, Axes]]":
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure((_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: "Figure") -> str:
    """Return the figure as SVG whose colours follow the reader's light or dark scheme."""
    sink = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(sink, format="svg", transparent=True, metadata=nothing)
    text = sink.getvalue()
    text = text[text.index("<svg") :]  # without the document type, which is an address
    for colour in _DARK:
        text = text.replace(colour, f"var(--{colour[1:]})")
    return text.replace('<style type="text/css">', f'<style type="text/css">{_scheme()}', 1)


def _scheme() -> str:
    light = "".join(f"--{colour[1:]}:{colour};" for colour in _DARK)
    dark = "".join(f"--{colour[1:]}:{other};" for colour, other in _DARK.items())
    # The digits are white on black: on a light page they are shown as ink on paper.
    return (
        f":root{{{light}}}image{{filter:invert(1)}}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}image{{filter:none}}}}"
    )
