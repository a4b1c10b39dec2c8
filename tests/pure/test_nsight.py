from __future__ import annotations

from kernelwright.judge.nsight import METRICS, told

MEMORY, ARITHMETIC, WARPS, REGISTERS = METRICS
SAID = f"""==PROF== Connected to process 7
"ID","Process ID","Kernel Name","{MEMORY}","{ARITHMETIC}","{REGISTERS}"
"","","","%","%","register/thread"
"0","7","finish","81.25","12.5","26"
"1","7","{"long " * 20}","1","2","3"
==PROF== Disconnected from process 7
"""


def test_each_launch_is_a_line_with_what_was_counted() -> None:
    first, second = told(SAID)
    assert first == "finish: 81.25 % of the memory's peak, 12.5 % of the arithmetic's, 26 registers a thread"
    assert second.startswith("long long") and len(second.partition(":")[0]) == 60


def test_what_is_no_table_tells_nothing() -> None:
    assert list(told("==ERROR== the driver resource was unavailable")) == list(told("")) == []
