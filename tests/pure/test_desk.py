"""Where tensors lie in shared memory, and the guards around them."""

from __future__ import annotations

import torch

from kernelwright.judge.desk import Desk, gaps, input_slots
from kernelwright.judge.memory import ALIGNMENT, GUARD

INPUTS = (torch.randn(6, 8), torch.arange(5), 3)


def test_guards_lie_before_between_and_behind_tensors() -> None:
    slots = input_slots([value for value in INPUTS if isinstance(value, torch.Tensor)], "as drawn")
    stretches = list(gaps(slots, slots[-1].end + GUARD))
    assert len(stretches) == 3 and all(end - start >= GUARD for start, end in stretches)
    assert sum(end - start for start, end in stretches) == slots[-1].end + GUARD - 6 * 8 * 4 - 5 * 8


def test_offset_storage_lies_one_element_off_every_boundary() -> None:
    tensors = [value for value in INPUTS if isinstance(value, torch.Tensor)]
    for plain, moved in zip(input_slots(tensors, "as drawn"), input_slots(tensors, "offset"), strict=True):
        assert plain.offset % ALIGNMENT == 0
        assert moved.offset % ALIGNMENT == torch.empty(0, dtype=getattr(torch, moved.dtype)).itemsize
        assert moved.strides == plain.strides


def test_what_a_worker_may_write_is_what_the_reference_writes() -> None:
    desk = Desk(INPUTS, 2, "as drawn", written=[0])
    for call in range(2):
        desk.write(call, INPUTS)
    desk.publish()
    assert desk.touched() == ""
    seen = desk.left_in(1, [0])[0]
    seen.fill_(7)  # as a worker would
    assert desk.touched() == "" and desk.copies(1)[0].eq(7).all()
    desk.left_in(0, [1])[0].fill_(7)
    assert desk.touched() == "input 1"
    desk.publish()
    end = desk.calls[1][0].end  # type: ignore[union-attr]
    seen.view(-1).as_strided((1,), (1,), end // 4).fill_(7)
    assert desk.touched() == "memory beside an input"
    desk.close()
