"""The objects of the examples, to the byte: a change here is a change on people's clusters.

``python -m tests.golden.test_manifests`` writes them anew, to be read before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import kgen
from kgen.errors import InputError
from kgen.render import render
from kgen.sweep import SweepSpec, expand, load, loads

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parent / "manifests"
FILES = sorted(path for path in EXAMPLES.rglob("*.yaml") if "results" not in path.parts and expand(load(path)))
"""Those with trials that are known before anything has run; a search has none."""
_VERSION = f'"app.kubernetes.io/version": "{kgen.__version__}"', '"kgen-version": "' + kgen.__version__ + '"'


def expected_files(example: Path) -> dict[str, str]:
    """Name in the golden folder → text: the shared objects, the first and the last Job. Without kgen's version."""
    stem = example.relative_to(EXAMPLES).with_suffix("").as_posix().replace("/", "-")
    return _files(load(example), stem)


def packed_files() -> dict[str, str]:
    """The same of the example for clusters with 16 trials in a pod, and the ConfigMaps of these two Jobs."""
    example = EXAMPLES / "cluster.yaml"
    text = example.read_text(encoding="utf-8")
    return _files(loads(f"{text}\nexecution: {{trials_per_pod: 16}}\n", file=example.name), "cluster-packs")


def _files(spec: SweepSpec, stem: str) -> dict[str, str]:
    made = render(spec, expand(spec))
    maps = [config_map for _, config_map in made.config_maps]
    shown = [*made.shared, *maps[:1], *maps[-1:], made.jobs[0], made.jobs[-1]]
    return {f"{stem}.{m.kind.lower()}-{m.name}.json": _without_version(m.text, m.spec) for m in shown}


def _without_version(text: str, spec: str) -> str:
    """Each release changes the version, and so the hash."""
    for place in _VERSION:
        text = text.replace(place, place.replace(kgen.__version__, "VERSION"))
    return text.replace(spec, "HASH")


def runs_on_a_cluster(example: Path) -> bool:
    """Whether it names an image; the others are for laptops, and that is the only reason why a cluster refuses them."""
    return bool(load(example).trainer.image)


@pytest.mark.parametrize("example", FILES, ids=lambda path: path.stem)
def test_examples_give_the_same_objects_as_ever(example: Path) -> None:
    if not runs_on_a_cluster(example):
        with pytest.raises(InputError) as caught:
            expected_files(example)
        assert {problem.field for problem in caught.value.problems} == {"trainer.image", "results"}
        return
    for name, text in expected_files(example).items():
        assert (GOLDEN / name).read_text(encoding="utf-8") == text, name


def test_packs_of_an_example_give_the_same_objects_as_ever() -> None:
    for name, text in packed_files().items():
        assert (GOLDEN / name).read_text(encoding="utf-8") == text, name


def test_no_golden_file_is_left_over() -> None:
    expected = {name for example in FILES if runs_on_a_cluster(example) for name in expected_files(example)}
    expected |= {*packed_files()}
    assert {path.name for path in GOLDEN.iterdir()} == expected
    assert len(expected) >= 3


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for found in filter(runs_on_a_cluster, FILES):
        for file_name, content in expected_files(found).items():
            (GOLDEN / file_name).write_text(content, encoding="utf-8")
    for file_name, content in packed_files().items():
        (GOLDEN / file_name).write_text(content, encoding="utf-8")
