"""What is seen of a trial on a cluster: one total, pure mapping from its Job, pods, events and row, and what follows.

Nothing here talks to a cluster or reads a clock: objects are the API's plain JSON, and the time is an argument.
"""

from kgen.status.explain import explain
from kgen.status.fuse import FIRST_FAILURES, PATIENCE, Fuse, Verdict, fingerprint
from kgen.status.group import Seen, group_by_trial, is_pack, trials_of
from kgen.status.mapping import status_of
from kgen.status.model import UNREAD, Address, Object, Reason, Row, State, TrialStatus, Unread

__all__ = [
    "FIRST_FAILURES",
    "PATIENCE",
    "UNREAD",
    "Address",
    "Fuse",
    "Object",
    "Reason",
    "Row",
    "Seen",
    "State",
    "TrialStatus",
    "Unread",
    "Verdict",
    "explain",
    "fingerprint",
    "group_by_trial",
    "is_pack",
    "status_of",
    "trials_of",
]
