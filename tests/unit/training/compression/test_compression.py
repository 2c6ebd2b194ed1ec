"""Compression: what is left of a model is what was chosen, it answers nearly the same, the gate takes no worse one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from services.training.compression import distil as distil_module
from services.training.compression.cards import CostCard, Speed, choose
from services.training.compression.compress import verdict_on
from services.training.compression.prune import blocks_to_keep, prune
from services.training.compression.quantise import int8_encoder
from services.training.compression.shrink import shrunk
from services.training.examples.vocabulary import ItemVocabulary
from services.training.sequence.export import export_encoder
from services.training.sequence.fit import Material
from services.training.sequence.model import SequenceModel
from shared.features.events import FloatArray
from shared.models.encoder import LastState
from shared.models.sources.sequence import open_session
from tests.unit.training.small_encoder import CONFIG, ITEMS, small_model, small_task, text_vectors, trained

DEEP = replace(CONFIG, encoder=replace(CONFIG.encoder, blocks=3), full_softmax_up_to=50_000, average=0.0, epochs=12)


@pytest.fixture(scope="module")
def teacher() -> SequenceModel:
    """A trained model of three blocks."""
    return trained(DEEP).model


@pytest.fixture(scope="module")
def material(teacher: SequenceModel) -> Material:
    task = small_task()
    vocabulary = ItemVocabulary(np.arange(ITEMS, dtype=np.int32), task.count_V, ITEMS)
    return Material(task.sequences, vocabulary, sides_of_small_shop())


def sides_of_small_shop():  # type: ignore[no-untyped-def]
    from services.training.sequence.sides import ItemSides, Kind

    kind = np.arange(ITEMS, dtype=np.int32)
    return ItemSides({"category": Kind(kind // 12, 2), "brand": Kind(kind % 3, 3)}, text_vectors())


def asked(model: SequenceModel, seed: int = 1) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    vector_BLD = torch.nn.functional.embedding(torch.randint(0, ITEMS, (8, 10)), model.items.all().detach())
    age_s_BL = torch.arange(10, 0, -1).float().repeat(8, 1) * 3600
    return vector_BLD, torch.zeros(8, 10, dtype=torch.int64), age_s_BL, torch.ones(8, 10, dtype=torch.bool)


def states(model: SequenceModel, inputs: tuple[torch.Tensor, ...]) -> FloatArray:
    with torch.no_grad():
        answer: FloatArray = LastState(model.encoder).eval()(*inputs).numpy()
    return answer


def test_an_int8_encoder_is_smaller_and_points_where_the_float_one_does(teacher: SequenceModel) -> None:
    plain = export_encoder(teacher.encoder)
    small = int8_encoder(plain)
    inputs = asked(teacher)
    feeds = dict(zip(("vector_BLD", "type_BL", "age_s_BL", "mask_BL"), (part.numpy() for part in inputs), strict=True))
    one, two = (open_session(model).run(None, feeds)[0] for model in (plain, small))
    cosine_B = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert cosine_B.min() > 0.99
    assert not np.array_equal(one, two)
    assert b"MatMulInteger" in small


def test_keeping_all_blocks_and_units_changes_no_answer(teacher: SequenceModel, material: Material) -> None:
    same = shrunk(teacher, material.sides, (0, 1, 2), CONFIG.encoder.feed_forward)
    inputs = asked(teacher)
    np.testing.assert_array_equal(states(same, inputs), states(teacher, inputs))


def test_units_that_write_nothing_are_the_ones_left_out(teacher: SequenceModel, material: Material) -> None:
    silent = shrunk(teacher, material.sides, (0, 1, 2), 2)
    with torch.no_grad():
        for block in silent.encoder.blocks:
            block.feed.narrow.weight[:, ::2] = 0
    narrow = shrunk(silent, material.sides, (0, 1, 2), 1)
    inputs = asked(teacher)
    np.testing.assert_allclose(states(narrow, inputs), states(silent, inputs), atol=1e-5)
    assert narrow.encoder.config.feed_forward == 1


def test_the_block_that_validation_misses_least_goes(teacher: SequenceModel, material: Material) -> None:
    only_middle_weight = teacher.encoder.blocks[1].attention.out.weight.detach()

    def validate(model: SequenceModel) -> float:
        weights = [block.attention.out.weight for block in model.encoder.blocks]
        return float(any(torch.equal(weight, only_middle_weight) for weight in weights))

    assert 1 in blocks_to_keep(teacher, material, validate, keep_blocks=1)


def test_blocks_that_are_not_there_are_refused_by_name(teacher: SequenceModel, material: Material) -> None:
    with pytest.raises(ValueError, match=r"blocks \[7\]"):
        shrunk(teacher, material.sides, (7,), 2)


def test_a_pruned_model_is_smaller_and_learned_on(teacher: SequenceModel, material: Material) -> None:
    small = prune(teacher, material, lambda model: 0.0, DEEP, keep_blocks=2, feed_forward=1)
    assert (small.encoder.config.blocks, small.encoder.config.feed_forward) == (2, 1)
    assert not torch.equal(small.items.own.weight, teacher.items.own.weight)


def test_a_student_that_hears_its_teacher_agrees_more_with_it_than_one_that_only_learns_the_answers(
    teacher: SequenceModel, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for share in (0.9, 0.0):
        monkeypatch.setattr(distil_module, "SOFT_SHARE", share)
        student = distil_module.distil(teacher, material, lambda model: -agreement_loss(model, teacher), DEEP, blocks=1)
        losses.append(agreement_loss(student, teacher))
    assert student.encoder.config.blocks == 1
    assert losses[0] < losses[1]


def agreement_loss(model: SequenceModel, teacher: SequenceModel) -> float:
    """Return the distance between the two models' chances of each item."""
    inputs = asked(teacher, seed=9)
    chances = []
    for one in (model, teacher):
        score_BV = torch.from_numpy(states(one, inputs)) @ one.items.all().detach().T
        chances.append(torch.softmax(score_BV, dim=1))
    return float((chances[0] - chances[1]).abs().sum(dim=1).mean())


def test_a_student_keeps_no_weight_of_its_teacher_in_what_is_stored(teacher: SequenceModel) -> None:
    student = distil_module.Student(DEEP.encoder, ITEMS, sides_of_small_shop()).taught_by(teacher)
    assert student.state_dict().keys() == small_model(DEEP).state_dict().keys()


def card(name: str, ndcg_10: float, cpu_ms: float) -> CostCard:
    return CostCard(name, 1.0, 1.0, Speed(cpu_ms, cpu_ms, cpu_ms), ndcg_10, 0.8)


def test_the_gate_takes_the_cheapest_variant_that_keeps_the_quality_and_says_why_not_the_others() -> None:
    base = card("float", 0.100, 2.0)
    choice = choose(base, [card("int8", 0.0996, 1.0), card("pruned", 0.095, 0.5), card("slow", 0.2, 3.0)])
    assert choice.card.name == "int8"
    assert choice.refused == {"pruned": "loses 5.00% of NDCG@10, more than 1.00%"}


def test_a_variant_whose_quality_is_no_number_is_refused() -> None:
    base = card("float", 0.1, 2.0)
    choice = choose(base, [card("broken", float("nan"), 0.1)])
    assert choice.card is base
    assert "broken" in choice.refused


def test_the_card_says_cost_and_loss_beside_the_uncompressed_model() -> None:
    values = card("int8", 0.099, 0.5).as_json(card("float", 0.1, 2.0))
    assert (values["relative_cost_per_million"], values["loss"]) == (0.25, 0.01)


def test_a_variant_below_the_gate_is_not_promoted_and_the_verdict_names_it() -> None:
    base, worse, cheaper = card("serving", 0.1, 2.0), card("int8", 0.09, 1.0), card("int8", 0.1, 1.0)
    refused = verdict_on(worse, base, choose(base, [worse]))
    assert not refused.promoted
    assert refused.summary == "Not promoted: int8 loses 10.00% of NDCG@10, more than 1.00%."
    assert verdict_on(cheaper, base, choose(base, [cheaper])).promoted
    assert not verdict_on(card("int8", 0.1, 3.0), base, choose(base, [card("int8", 0.1, 3.0)])).promoted
