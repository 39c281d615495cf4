"""``python -m kgen_trainer``."""

from kgen.trial import main
from kgen_trainer import describe, train, train_many

main(train, train_many, describe=describe)
