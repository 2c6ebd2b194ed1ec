"""A soak says what failed and what grew, and nothing of a shop that held."""

from dataclasses import replace

from benchmarks.overload.soak import MOST_GROWTH_MB, MOST_NEW_DESCRIPTORS, Held, Soak

STEADY = Soak(
    rate=50,
    seconds=60,
    answers={"good": 3000},
    before={"gateway": Held(100.0, 40)},
    after={"gateway": Held(104.0, 42)},
)


def test_a_steady_shop_has_no_faults() -> None:
    assert STEADY.faults == []


def test_every_answer_that_was_not_good_is_said() -> None:
    assert replace(STEADY, answers={"good": 2998, "late": 2}).faults == ["2 answers: late"]


def test_memory_and_descriptors_that_grow_are_said_and_so_is_an_end() -> None:
    grown = replace(STEADY, after={"gateway": Held(101.0 + MOST_GROWTH_MB, 40)})
    leaking = replace(STEADY, after={"gateway": Held(100.0, 41 + MOST_NEW_DESCRIPTORS)})
    assert grown.faults == ["gateway grew from 100.0 to 117.0 MB"]
    assert leaking.faults == ["gateway had 40 descriptors and has 57"]
    assert replace(STEADY, after={}).faults == ["gateway ended"]
