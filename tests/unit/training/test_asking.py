"""Questions asked on several processes: the same answers in the same order, and no silence when one dies."""

import os
from collections.abc import Sequence

import numpy as np
import pytest

from services.training.asking import LEAST_SHARE, Asking
from services.training.errors import PartFailedError
from services.training.examples.queries import Question
from services.training.progress import Progress
from shared.contracts.recommendation import Context
from shared.features.events import FloatArray


def questions(number: int) -> Sequence[Question]:
    """Return questions of the shoppers 0, 1, 2 and so on."""
    return [Question(user, 1_000 * user, np.array([user], np.int32), Context()) for user in range(number)]


def test_answers_of_two_processes_come_in_the_order_of_the_questions() -> None:
    asked = questions(2 * LEAST_SHARE + 1)
    answers = list(Asking(60, processes=2).each("step", lambda question: (question.user, os.getpid()), asked))
    assert [user for user, _ in answers] == list(range(len(asked)))
    pids = [pid for _, pid in answers]
    assert len(set(pids) - {os.getpid()}) == 2


def test_answers_do_not_depend_on_the_number_of_processes() -> None:
    table = np.random.default_rng(3).normal(size=(5_000, 300)).astype(np.float32)

    def ask(question: Question) -> FloatArray:
        scores: FloatArray = table @ table[question.user]
        return scores

    asked = questions(3 * LEAST_SHARE)
    alone = list(Asking(60, processes=1).each("step", ask, asked))
    together = list(Asking(60, processes=3).each("step", ask, asked))
    assert np.array_equal(alone, together)


def test_few_questions_are_answered_by_this_process() -> None:
    asked = questions(2 * LEAST_SHARE - 1)
    assert set(Asking(60, processes=2).each("step", lambda question: os.getpid(), asked)) == {os.getpid()}


def test_every_answer_is_counted() -> None:
    told: list[Progress] = []
    asked = questions(2 * LEAST_SHARE)
    list(Asking(60, processes=2, report=told.append).each("step", lambda question: question.user, asked))
    assert (told[-1].step, told[-1].done, told[-1].total) == ("step", len(asked), len(asked))


def test_a_process_that_dies_ends_the_step_with_an_error() -> None:
    def ask(question: Question) -> int:
        if question.user == 7:
            os._exit(9)
        return question.user

    with pytest.raises(PartFailedError, match="ended early"):
        list(Asking(60, processes=2).each("step", ask, questions(2 * LEAST_SHARE)))


def test_processes_are_gone_when_nobody_wants_more_answers() -> None:
    answers = Asking(60, processes=2).each("step", lambda question: os.getpid(), questions(2 * LEAST_SHARE))
    pids = {next(answers), next(answers)}
    answers.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
