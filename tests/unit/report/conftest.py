from __future__ import annotations

import pytest

from kgen.analysis import Analysis
from tests.unit.analysis.synthetic import article
from tests.unit.report.made import report_of


@pytest.fixture(scope="session")
def article_report() -> tuple[Analysis, dict[str, bytes]]:
    """The report of a sweep with the shape of the article's; it takes seconds, so once."""
    return report_of(*article())
