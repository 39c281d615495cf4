"""Does everything work here that a sweep on this cluster needs, and how can the rest be mended?"""

from kgen.workflow.doctor.by_job import examine_by_job
from kgen.workflow.doctor.inside import examine_inside
from kgen.workflow.doctor.model import Check, State
from kgen.workflow.doctor.outside import Options, examine

__all__ = ["Check", "Options", "State", "examine", "examine_by_job", "examine_inside"]
