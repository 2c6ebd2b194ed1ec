"""The running average of the weights."""

import pytest
import torch
from torch import nn

from services.training.sequence.average import WeightAverage


def line(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    set_to(model, value)
    return model


def set_to(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def test_average_follows_the_weights_with_a_short_memory_first() -> None:
    model = line(0.0)
    average, expected = WeightAverage(model, 0.5), 0.0
    for step, value in enumerate([4.0, 8.0, 2.0, 6.0] * 5, start=1):
        set_to(model, value)
        average.add()
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * value
    with average.shown():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 6.0


def test_without_decay_the_newest_weights_are_shown() -> None:
    model = line(1.0)
    average = WeightAverage(model, 0.0)
    set_to(model, 3.0)
    average.add()
    with average.shown():
        assert model.weight.item() == 3.0


def test_a_restored_average_goes_on_where_it_was() -> None:
    model = line(2.0)
    average = WeightAverage(model, 0.9)
    set_to(model, 5.0)
    average.add()
    other = WeightAverage(line(0.0), 0.9)
    other.restore(average.state())
    assert other.steps == 1
    with average.shown():
        shown = model.weight.item()
    assert other.state()["averages"][0].item() == pytest.approx(shown)
