"""The two ranges that pixels may have inside a model, as ``factor * pixel + offset``."""

SCALINGS = {"[0,1]": (1 / 255, 0.0), "[-1,1]": (2 / 255, -1.0)}
