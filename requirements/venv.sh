#!/bin/sh
# Make .bootstrap (holds uv) and .venv (empty, of a Python that TensorFlow has wheels for) where they are missing.
# Usage, from the top of the checkout: sh requirements/venv.sh PYTHON
set -eu

python=$1
newest=3.13 # of TensorFlow's wheels; keep equal to the markers in pyproject.toml
uv=.bootstrap/bin/uv

stop() {
    echo "kgen: $*" >&2
    exit 1
}

if cmp -s requirements/setup.txt .bootstrap/setup.txt && [ -x $uv ] && [ -x .venv/bin/python ]; then
    exit 0
fi

# Everything that may be missing, each in one line that says what to do.
command -v "$python" >/dev/null ||
    stop "no '$python' here: install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3-venv)" \
        "or name one with PYTHON=/path/to/python"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    stop "'$python' does not run: name another with PYTHON=/path/to/python"
minor=${version#3.}
[ "$minor" != "$version" ] && [ "$minor" -ge 11 ] ||
    stop "'$python' is Python $version, kgen needs 3.11 or newer: name another with PYTHON=/path/to/python"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    stop "Python $version has no venv module (Debian, Ubuntu: apt-get install python$version-venv)"

# pip, which every new venv has, brings uv; uv brings the rest, ten times faster.
if ! cmp -s requirements/setup.txt .bootstrap/setup.txt || [ ! -x $uv ]; then
    "$python" -m venv --clear .bootstrap
    .bootstrap/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt ||
        stop "uv could not be installed: is a package index reachable?"
    cp requirements/setup.txt .bootstrap/setup.txt # last: says that the lines above came to an end
fi

# A .venv that runs is kept as it is; one whose Python has gone from the system is made anew.
if [ ! -x .venv/bin/python ]; then
    if [ "$minor" -gt "${newest#3.}" ]; then
        echo "kgen: Python $version is newer than TensorFlow's wheels: uv brings $newest"
        # Inside the checkout, not in the home directory, where uv would put it.
        error=$(UV_PYTHON_INSTALL_DIR=$PWD/.python $uv venv --quiet --clear --python $newest .venv 2>&1) ||
            stop "uv found no Python $newest: install it and name it with PYTHON=python$newest" \
                "($(echo "$error" | head -n 1))"
    else
        $uv venv --quiet --clear --python "$("$python" -c 'import sys; print(sys.executable)')" .venv
    fi
fi
