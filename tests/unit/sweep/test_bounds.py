"""Absurd files are refused within two seconds and 200 MB, as any mistake is: bounds of the issue, not timings."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kgen.sweep import loads, space
from kgen.sweep.build import MAX_TRIALS
from tests.unit.sweep.sweeps import only_message, problems, text, trials

SECONDS = 4  # of processor time: twice the bound, because a machine may be half as fast as the one it was set on
MEGABYTES = 200
# The interpreter's own start is in it. VmHWM is of this program alone; getrusage() would count the memory of pytest.
CHECK = """\
import atexit, re, sys
from kgen.cli.app import main

def tell_peak() -> None:
    status = open("/proc/self/status").read()
    print("PEAK", int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024, file=sys.stderr)

atexit.register(tell_peak)
sys.argv = ["kgen", "check", sys.argv[1]]
main()
"""


def limit_processor_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def check(file: Path) -> list[str]:
    """The messages of ``kgen check``; fails if they take too long or too much memory, or are not messages."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(file)],
        capture_output=True,
        text=True,
        preexec_fn=limit_processor_time,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 2, f"exit code {done.returncode}: {lines[-20:]}"
    assert done.stdout == ""
    word, peak = lines.pop().split()
    assert word == "PEAK"
    assert int(peak) <= MEGABYTES
    assert all(len(line) <= 500 for line in lines)
    return lines


def levels(depth: int, leaf: str, node: str) -> str:
    """``a0: &a0 LEAF``, then each level made of the one before."""
    return "".join(f"    a{i}: &a{i} {leaf if i == 0 else node.replace('@', f'*a{i - 1}')}\n" for i in range(depth))


CONFIG = text(trainer="\n  config:")
ALIASES = "found more than 50,000 values, allowed at most 50,000 (aliases expanded)"
NESTING = "found nesting deeper than 32, allowed at most 32 levels"
SIZE = "allowed at most 524,288 bytes"
MANY = ", ".join(["1"] * 60_000)
GRIDS = ", ".join("{a: {log: {start: 1, stop: 10, num: 90000}}}" for _ in range(2_000))

BOMBS = {
    "a billion laughs in lists": (CONFIG + levels(10, "[x,x,x,x,x,x,x,x,x,x]", f"[{', '.join(['@'] * 10)}]"), ALIASES),
    "laughs in mappings": (
        CONFIG + levels(12, "{x: 1, y: 2}", f"{{{', '.join(f'k{j}: @' for j in range(10))}}}"),
        ALIASES,
    ),
    "few names, many levels": (CONFIG + levels(30, "[x]", "[@, @]"), ALIASES),
    "deep lists": (text(parameters=f"{{a: {'[' * 10_000}{']' * 10_000}}}"), NESTING),
    "deep mappings": (text(parameters="{a: " * 10_000 + "1" + "}" * 10_000), NESTING),
    "deep unclosed lists": (text(parameters="[" * 200_000), NESTING),
    "deep indentation": (text(parameters="\n" + "".join(f"{' ' * (i + 1)}a:\n" for i in range(900))), NESTING),
    "deep dashes": (text(parameters="\n" + "- " * 10_000 + "1"), NESTING),
    "deep question marks": (text(parameters="\n  " + "? " * 10_000 + "1"), "allowed text keys"),
    "many values": (text(parameters=f"{{a: [{MANY}]}}"), ALIASES),
    "five megabytes": (text() + "# comment\n" * 500_000, SIZE),
    "a long word": (text(name="x" * 500_000), "allowed a DNS label"),
    "a long tag": (text(name="!" * 500_000), "found a long tag, allowed no tags"),
    "a long key": (text() + "? " + "x" * 500_000 + "\n: 1\n", "found an unknown field"),
    "many tabs": (text(seed="\n" + "\t" * 500_000), "found a tab"),
    "a billion steps": (text(parameters="{a: {int: {start: 1, stop: 1000000000}}}"), "found a grid of 1.00e+9 values"),
    "a billion points": (
        text(parameters="{a: {linear: {start: 0, stop: 1, num: 1000000000}}}"),
        "found 1000000000, allowed at most 100,000",
    ),
    "a billion small steps": (
        text(parameters="{a: {linear: {start: 0, stop: 1, step: 1e-9}}}"),
        "found a grid of 1.00e+9 values, allowed at most 100,000 values",
    ),
    "a billion points in a decade": (
        text(parameters="{a: {log: {start: 1, stop: 10, per_decade: 1000000000}}}"),
        "found 1000000000, allowed at most 100,000",
    ),
    "a billion points in many decades": (
        text(parameters="{a: {log: {start: 1e-300, stop: 1e300, per_decade: 90000}}}"),
        "found a grid of 5.40e+7 values",
    ),
    "a product of a billion": (
        text(parameters=f"{{{', '.join(f'{n}: {{int: {{start: 1, stop: 1000}}}}' for n in 'abc')}}}"),
        "found 1,000,000,000 trials, allowed at most 1,000,000 trials",
    ),
    "a product of many twos": (
        text(parameters=f"{{{', '.join(f'p{n}: [0, 1]' for n in range(200))}}}"),
        "trials, allowed at most 1,000,000 trials",
    ),
    "many large grids": (text(parameters=f"[{GRIDS}]"), "found more values in the grids up to here, allowed at most"),
    "many mistakes": (text(parameters=f"{{a: [{', '.join(['~'] * 20_000)}]}}"), "found nothing, allowed a number"),
    "many unknown keys": (text() + "".join(f"parameter{i}: 1\n" for i in range(10_000)), "found an unknown field"),
    "many duplicate keys": (text() + "seed: 1\n" * 20_000, "found the key again"),
    "many wrong exceptions": (
        text(parameters=f"{{a: {{int: {{start: 1, stop: 100000}}, except: [{', '.join(['.5'] * 20_000)}]}}}}"),
        "the nearest is 1",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_absurd_file_is_refused_soon_and_in_little_memory(bomb: str, tmp_path: Path) -> None:
    content, message = BOMBS[bomb]
    file = tmp_path / "sweep.yaml"
    file.write_text(content, encoding="utf-8")
    lines = check(file)
    assert any(message in line for line in lines)
    assert lines[0].startswith(f"{file}:")


def test_many_exceptions_of_a_large_grid_are_taken_out_in_one_pass() -> None:
    """One by one they would be a billion comparisons."""
    gone = ", ".join(map(str, range(2, 40_002)))
    assert len(trials(parameters=f"{{a: {{int: {{start: 1, stop: 100000}}, except: [{gone}]}}}}")) == 60_000


def test_the_largest_grid_is_a_hundred_thousand_values() -> None:
    spec = loads(text(parameters="{a: {log: {start: 1, stop: 10, num: 100000}}}"))
    assert spec.size == space.MAX_VALUES == len(spec.alternatives[0]["a"])
    assert "allowed at most 100,000" in only_message(parameters="{a: {log: {start: 1, stop: 10, num: 100001}}}")
    assert "found a grid of 100,001 values" in only_message(parameters="{a: {int: {start: 0, stop: 100000}}}")


def test_the_largest_sweep_is_a_million_trials_with_all_repeats() -> None:
    parameters = "{a: {int: {start: 1, stop: 1000}}, b: {int: {start: 1, stop: 100}}}"
    assert loads(text(parameters=parameters, repeats="10")).size == MAX_TRIALS
    assert only_message(parameters=parameters, repeats="11") == (
        "3:13 parameters: found 1,100,000 trials, allowed at most 1,000,000 trials"
    )


def test_nesting_up_to_the_bound_is_fine() -> None:
    """32 levels in all; config is the third."""
    assert "a" in loads(text(trainer=f"{{config: {{a: {'[' * 29}1{']' * 29}}}}}")).trainer.config
    (problem,) = problems(text(trainer=f"{{config: {{a: {'[' * 30}1{']' * 30}}}}}"))
    assert problem.found == "nesting deeper than 32"
