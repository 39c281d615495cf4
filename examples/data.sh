#!/bin/sh
# data.sh NAME FILE PYTHON: sees that examples/NAME.npz is there. A FILE is linked; without one Keras downloads it once.
set -eu
cd "$(dirname "$0")"
name=$1 file=$2 python=$3
if [ -n "$file" ]; then
    case $file in /*) ;; *) file=$OLDPWD/$file ;; esac
    [ -f "$file" ] || { echo "DATA=$file is no file; allowed: a .npz in the layout of Keras" >&2; exit 2; }
    ln -sf "$file" "$name.npz"
fi
[ -e "$name.npz" ] || "../$python" - "$name" <<'EOF' || {
import sys
from pathlib import Path

import keras
import numpy as np

name = sys.argv[1]
(x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
part = Path(f"{name}.part.npz")
np.savez_compressed(part, x_train=x_train, y_train=y_train.ravel(), x_test=x_test, y_test=y_test.ravel())
part.rename(f"{name}.npz")
EOF
    echo "$name.npz can't be downloaded here: give it as DATA=FILE.npz (x_train, y_train, x_test, y_test)" >&2
    exit 2
}
