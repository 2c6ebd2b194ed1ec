"""Training that is suited to a log."""

from dataclasses import replace

import pytest

from services.training.examples.sequences import build_sequences
from services.training.sequence.config import SequenceConfig
from services.training.sequence.suit import LogFacts, facts_of, suited
from shared.models.encoder import EncoderConfig
from tests.unit.training.small_logs import every_row, log_of

CONFIG = SequenceConfig(EncoderConfig(dropout=0.1), epochs=30, events_to_learn=6_000_000)
SPARSE = LogFacts(events=130_000, items=12_000, same_gap=0.1)
DENSE = LogFacts(events=1_000_000, items=3_400, same_gap=0.1)


def test_facts_are_those_of_the_log() -> None:
    log = log_of([(0, 0), (10, 1), (10, 2), (20, 0), (50, 1)], [(7, 2), (17, 1)], [(5, 0)])
    facts = facts_of(build_sequences(log, every_row(3)), 3)
    assert (facts.events, facts.items) == (8, 3)
    # The gaps are 10, 10, 30 and 10.
    assert facts.same_gap == pytest.approx(0.75)


def test_a_log_without_any_next_event_has_no_gaps_to_tell_apart() -> None:
    assert facts_of(build_sequences(log_of([(0, 0)]), every_row(1)), 1).same_gap == 1


def test_items_with_few_events_get_more_dropout_and_at_most_fourteen_epochs() -> None:
    assert suited(CONFIG, SPARSE).encoder.dropout == 0.5
    assert suited(CONFIG, DENSE).encoder.dropout == 0.2
    assert suited(CONFIG, SPARSE).epochs == 14


@pytest.mark.parametrize(("events", "epochs"), [(100_000, 30), (1_000_000, 6), (10_000_000, 3)])
def test_many_events_need_few_epochs(events: int, epochs: int) -> None:
    assert suited(CONFIG, replace(DENSE, events=events, items=10)).epochs == epochs


@pytest.mark.parametrize(("events", "tokens"), [(10_000, 2048), (260_000, 4062), (9_000_000, 8192)])
def test_a_small_log_is_cut_in_smaller_batches(events: int, tokens: int) -> None:
    assert suited(CONFIG, replace(DENSE, events=events)).tokens_per_batch == tokens


def test_times_that_are_places_are_not_read() -> None:
    assert suited(CONFIG, DENSE).encoder.times
    assert not suited(CONFIG, replace(DENSE, same_gap=0.96)).encoder.times
    without = replace(CONFIG, encoder=replace(CONFIG.encoder, times=False))
    assert not suited(without, DENSE).encoder.times


def test_a_configuration_that_asks_for_it_stays_as_it_is() -> None:
    fixed = replace(CONFIG, suit=False)
    assert suited(fixed, SPARSE) == fixed
