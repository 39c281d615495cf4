"""``python -m kgen_trainer``."""

from kgen.trial import main
from kgen_trainer import describe, train

main(train, describe=describe)
