from __future__ import annotations

import ast

from kernelwright.core.candidate import Candidate, Searched
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Rejected, Screened, Trial
from kernelwright.core.spec import Roofline, Target, TensorSpec
from kernelwright.core.task import Task
from kernelwright.engines.search import Search
from kernelwright.engines.search.plan import captured, follow
from kernelwright.engines.search.write import write
from tests.pure.samples import ENVIRONMENT

MLP = '''
import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 48  # of the hidden layer


class Model(nn.Module):
    """Two layers and a tail."""

    def __init__(self, features):
        super(Model, self).__init__()
        self.up = nn.Linear(features, WIDTH)
        self.down = nn.Linear(WIDTH, features)

    def forward(self, x):
        return torch.tanh(self.down(F.gelu(self.up(x)))) * 2.0 + x


def get_inputs():
    return [torch.randn(20, 32)]


def get_init_inputs():
    return [32]
'''
TASK = Task(MLP, (TensorSpec((20, 32), (32, 1), "float32"),), Target("cpu", "avx2", "a machine", ("g++ 12",), 2))
SEARCH = Search(Roofline(1e11, 2e10, 5e-6))


def history(candidates: tuple[Candidate, ...], number: int = 0) -> tuple[Trial, ...]:
    """Each screened, the later the slower."""
    return tuple(Trial(number, "search", candidate, Screened(1e6 + place), ENVIRONMENT)
                 for place, candidate in enumerate(candidates))  # fmt: skip


def test_the_same_task_and_history_give_the_same_candidates() -> None:
    first = SEARCH.propose(TASK, ())
    captured.cache_clear()
    assert SEARCH.propose(TASK, ()) == first
    assert SEARCH.propose(TASK, history(first)) == SEARCH.propose(TASK, history(first))


def test_a_plan_prints_its_candidate_again_byte_for_byte() -> None:
    opening = SEARCH.propose(TASK, ())
    for candidate in (*opening, *SEARCH.propose(TASK, history(opening))):
        assert isinstance(candidate.origin, Searched)
        captured.cache_clear()
        assert write(TASK, follow(TASK, candidate.origin.plan)) == candidate.source


def test_candidates_are_distinct_files_of_the_task_and_no_more_than_the_width() -> None:
    opening = SEARCH.propose(TASK, ())
    assert 2 <= len(opening) <= SEARCH.width
    assert len({candidate.source for candidate in opening}) == len(opening)
    assert {candidate.task for candidate in opening} == {digest(TASK)}


def test_a_candidate_keeps_the_constructor_and_drops_what_only_the_old_forward_needed() -> None:
    text = SEARCH.propose(TASK, ())[0].source
    defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert defined == ["ModelNew"]
    assert "WIDTH = 48  # of the hidden layer" in text
    assert "super(ModelNew, self).__init__()" in text


def test_later_rounds_propose_neighbours_of_the_fastest_that_were_not_tried() -> None:
    opening = SEARCH.propose(TASK, ())
    later = SEARCH.propose(TASK, history(opening))
    assert later
    assert not {candidate.source for candidate in later} & {candidate.source for candidate in opening}


def test_nothing_is_proposed_when_no_candidate_worked() -> None:
    opening = SEARCH.propose(TASK, ())
    failed = tuple(Trial(0, "search", candidate, Rejected("build", "no"), ENVIRONMENT) for candidate in opening)
    assert SEARCH.propose(TASK, failed) == ()


def test_the_search_ends() -> None:
    trials: tuple[Trial, ...] = ()
    for number in range(SEARCH.depth + 1):
        trials += history(SEARCH.propose(TASK, trials), number)
    assert SEARCH.propose(TASK, trials) == ()
