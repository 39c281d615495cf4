"""Which trials share a Job, at first and after every edit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kgen.names import TRIAL_ID_PATTERN
from kgen.packs import Pack, PackThere, packs, singles
from kgen.spec import TrialSpec
from tests.unit.sweep.sweeps import trials

TEN = trials(parameters="{a: {int: {start: 1, stop: 10}}}")
IDS = [trial.id for trial in TEN]


def ids(made: tuple[Pack, ...]) -> list[list[str]]:
    return [[trial.id for trial in pack.trials] for pack in made]


def there(*made: Pack) -> list[PackThere]:
    """What the Jobs of these packs say."""
    return [PackThere(pack.id, tuple(trial.id for trial in pack.trials), pack.is_single) for pack in made]


def test_trials_are_cut_into_packs_in_the_order_of_the_file() -> None:
    assert ids(packs(TEN, 4)) == [IDS[:4], IDS[4:8], IDS[8:]]
    assert ids(packs(TEN, 10)) == ids(packs(TEN, 1000)) == [IDS]
    assert packs([], 4) == ()


def test_one_trial_each_is_a_job_named_after_it() -> None:
    made = packs(TEN, 1)
    assert made == singles(TEN)
    assert [pack.id for pack in made] == IDS
    assert all(pack.is_single for pack in made)


def test_a_pack_is_named_after_all_its_trials_also_where_it_has_one() -> None:
    made = packs(TEN, 3)
    assert not any(pack.is_single for pack in made)
    assert len({pack.id for pack in made} | {*IDS}) == 4 + 10
    assert all(TRIAL_ID_PATTERN.fullmatch(pack.id) for pack in made)
    assert [pack.id for pack in packs(TEN, 3)] == [pack.id for pack in made]


def test_fused_trials_of_one_seed_stand_together_in_the_order_of_the_file() -> None:
    repeated = trials(parameters="{a: [1, 2, 3]}", repeats="2")
    assert [trial.seed for trial in repeated] == [0, 1] * 3
    made = packs(repeated, 3, by_seed=True)
    assert [[(trial.seed, trial.parameters["a"]) for trial in pack.trials] for pack in made] == [
        [(0, 1), (0, 2), (0, 3)],
        [(1, 1), (1, 2), (1, 3)],
    ]
    assert [[trial.seed for trial in pack.trials] for pack in packs(repeated, 3)] == [[0, 1, 0], [1, 0, 1]]


def test_what_is_there_stays_and_only_the_rest_is_cut() -> None:
    first = packs(TEN[:6], 4)
    made = packs(TEN, 4, there(*first))
    assert made[:2] == first
    assert ids(made) == [IDS[:4], IDS[4:6], IDS[6:]]
    assert packs(TEN, 4, there(*made)) == made


def test_packs_keep_their_size_after_another_is_asked_for_and_single_jobs_stay_single() -> None:
    first = packs(TEN[:4], 2)
    assert packs(TEN, 5, there(*first)) == (*first, *packs(TEN[4:], 5))
    assert packs(TEN, 1, there(*first)) == (*first, *singles(TEN[4:]))
    single = singles(TEN[:2])
    assert packs(TEN, 4, there(*single)) == (*single, *packs(TEN[2:], 4))


def test_a_job_keeps_its_name_when_the_file_drops_some_of_its_trials() -> None:
    (first,) = packs(TEN[:4], 4)
    asked = (*TEN[:2], *TEN[4:6])
    made = packs(asked, 4, there(first))
    assert made[0] == Pack(first.id, TEN[:2])
    assert ids(made) == [IDS[:2], IDS[4:6]]
    assert packs(TEN[8:], 4, there(first)) == packs(TEN[8:], 4), "one without any is left alone"


def test_what_is_done_gets_no_new_job_and_stays_in_that_which_is_there() -> None:
    (first,) = packs(TEN[:4], 4)
    done = {*IDS[2:6]}
    assert ids(packs(TEN, 4, there(first), done)) == [IDS[:4], IDS[6:]]
    assert packs(TEN, 4, done={*IDS}) == ()


def test_of_a_submission_that_was_stopped_the_rest_has_the_names_that_it_would_have_had() -> None:
    for by_seed in (False, True):
        repeated = trials(parameters="{a: [1, 2, 3, 4, 5]}", repeats="2")
        whole = packs(repeated, 4, by_seed=by_seed)
        for missing in range(len(whole)):
            made = [pack for number, pack in enumerate(whole) if number != missing]
            again = packs(repeated, 4, there(*made), by_seed=by_seed)
            assert sorted(pack.id for pack in again) == sorted(pack.id for pack in whole)


@given(
    st.integers(1, 12), st.lists(st.sets(st.sampled_from(IDS), min_size=1), max_size=3), st.sets(st.sampled_from(IDS))
)
def test_each_trial_that_is_not_done_has_a_job(size: int, jobs: list[set[str]], done: set[str]) -> None:
    seen = [PackThere(f"job{number}", tuple(sorted(job))) for number, job in enumerate(jobs)]
    made = packs(TEN, size, seen, done)
    count = Counter(trial.id for pack in made for trial in pack.trials)
    of_jobs = Counter(trial for job in jobs for trial in job)
    assert count == of_jobs + Counter(trial for trial in IDS if trial not in of_jobs and trial not in done)
    assert len({pack.id for pack in made}) == len(made)
    new: list[TrialSpec] = [trial for pack in made[len(jobs) :] for trial in pack.trials]
    assert new == [trial for trial in TEN if trial in new], "in the order of the file"
