"""For every reason there is something to do, or it is said that there is nothing."""

from __future__ import annotations

import pytest

from kgen.status import Address, Reason, State, TrialStatus, explain
from tests.unit.status.expected import EXPECTED
from tests.unit.status.recordings import status


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("state", State)
def test_every_reason_in_every_state(reason: Reason, state: State) -> None:
    said = explain(TrialStatus("abc", state, reason))
    assert said.isprintable()
    assert "{" not in said
    if reason is not Reason.NONE:
        assert said.endswith(".")


def test_a_failed_trial_always_has_a_command() -> None:
    for (name, index), expected in EXPECTED.items():
        if expected.state is State.FAILED:
            assert "`kgen " in explain(status(name, index=index))


def test_names_are_filled_in() -> None:
    pulled = TrialStatus("abc", State.PENDING, Reason.CONFIG_ERROR, address=Address("opt-abc"), pod="opt-abc-x")
    assert "`kubectl describe pod opt-abc-x`" in explain(pulled)
    lost = TrialStatus("abc", State.FAILED, Reason.PREEMPTED)
    assert explain(lost).endswith("`kgen retry abc` tries it again.")
    assert "retry" not in explain(TrialStatus("abc", State.PENDING, Reason.PREEMPTED))
