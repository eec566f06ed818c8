"""How many stages run side by side, by cores and by memory."""

from types import SimpleNamespace

import pytest

from flows import slots

GIB = 2**30


@pytest.fixture
def machine(monkeypatch, tmp_path):
    def set_to(cores: int, free: float) -> None:
        monkeypatch.setattr("joblib.cpu_count", lambda: cores)
        found = SimpleNamespace(available=int(free * GIB))
        monkeypatch.setattr("psutil.virtual_memory", lambda: found)

    monkeypatch.setattr(slots.free_memory, "__defaults__", (tmp_path,))  # no container
    return set_to


@pytest.mark.parametrize(
    ("cores", "free", "expected"), [(2, 22, 2), (2, 3.5, 2), (16, 22, 12), (2, 3.4, 1), (2, 0.5, 1)]
)
def test_a_stage_takes_a_core_and_its_memory(machine, cores, free, expected):
    machine(cores, free)
    assert slots.slots() == expected


@pytest.mark.parametrize(
    ("limit", "used", "expected"), [("4", "1", 3), ("max", "1", 10), (None, None, 10)]
)
def test_the_limit_of_a_container_counts(machine, tmp_path, limit, used, expected):
    machine(2, 10)
    for name, value in (("max", limit), ("current", used)):
        if value is not None:
            text = value if value == "max" else str(int(value) * GIB)
            (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    assert slots.free_memory(tmp_path) == expected * GIB
