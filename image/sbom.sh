#!/bin/sh
# Write what is in an image's Python environment as a bill of materials (CycloneDX); `make sbom` calls it.
#
# Usage: image/sbom.sh OUTPUT PYTHON, where PYTHON is one that has cyclonedx-bom. From the environment: IMAGE, ENGINE.
set -eu
output=$(realpath -m "$1")
python=$(realpath -s "$2")
cd "$(dirname "$0")/.."
. image/engine.sh

folder=$(mktemp -d)
container=
leave() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf "$folder"
}
trap leave EXIT

# The packages' own metadata, as the image has them, in an environment of this machine that the tool can ask.
pack='
import pathlib, sys, sysconfig, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    for path in pathlib.Path(sysconfig.get_path("purelib")).glob("*.dist-info"):
        tar.add(path, path.name)
'
if [ "$engine" = buildah ]; then
    container=$(buildah from --pull=never "$image")
    buildah run "$container" -- python -c "$pack" >"$folder/metadata.tar"
else
    "$engine" run --rm --entrypoint python "$image" -c "$pack" >"$folder/metadata.tar"
fi
"$python" -m venv --without-pip "$folder/environment"
tar -xf "$folder/metadata.tar" -C "$folder"/environment/lib/python*/site-packages

mkdir -p "$(dirname "$output")"
"$python" -m cyclonedx_py environment --output-reproducible --output-file "$output" "$folder/environment/bin/python"
echo "written:    $output, what is in $image"
