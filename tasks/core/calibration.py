"""Temperature scaling: one number that makes confidence mean what it says."""

import numpy as np

from tasks.core import metrics

_SMALLEST = 1e-12


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities ``(n, classes)`` float64 for scores of any range."""
    exponential = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(exponential / exponential.sum(1, keepdims=True))


def scale(probabilities: np.ndarray, temperature: float, smallest: float = _SMALLEST) -> np.ndarray:
    """Return ``softmax(log(probabilities) / temperature)``, ``(n, classes)`` float64.

    Above 1 a temperature softens, below 1 it sharpens; the most probable class stays.
    Probabilities below ``smallest`` are taken for it.
    """
    return softmax(np.log(np.maximum(probabilities, smallest, dtype=np.float64)) / temperature)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature in [0.05, 20] with the least log loss on held-out images.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks",
    2017. The log loss has one minimum in the inverse temperature, so a bounded search of
    one variable finds it.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return metrics.log_loss(labels, scale(probabilities, float(np.exp(logarithm))))

    bounds = (np.log(0.05), np.log(20.0))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
