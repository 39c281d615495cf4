#!/bin/sh
# A cluster on this machine with all that sweeps need, by kind: `make kind`. Typed again, it brings the image and the chart
# up to date. `kind.sh check` only says in one line what is missing. From the environment: IMAGE, if `make image` had it.
set -eu
cd "$(dirname "$0")/.."

missing=
for program in kind helm; do
    command -v "$program" >/dev/null || missing="$missing $program,"
done
engine=
for program in docker podman; do
    [ -n "$engine" ] || ! "$program" info >/dev/null 2>&1 || engine=$program
done
[ -n "$engine" ] || missing="$missing docker or podman that answers,"
if [ -n "$missing" ]; then
    echo "make kind: missing here:${missing%,}" >&2
    exit 1
fi
[ "${1:-}" != check ] || exit 0

image=${IMAGE:-kgen-trainer:$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' kgen/__init__.py)}
if [ "$engine" = podman ]; then
    export KIND_EXPERIMENTAL_PROVIDER=podman
    # It keeps what it builds under a host's name.
    [ -n "${IMAGE:-}" ] || image=localhost/$image
fi
if kind get clusters 2>/dev/null | grep -qx kgen; then
    kind export kubeconfig --name kgen
else
    kind create cluster --config manifests/kind.yaml --wait 120s
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$engine" save --output "$scratch/image.tar" "$image"
kind load image-archive "$scratch/image.tar" --name kgen

cat <<TEXT

Sweep files name the image, and ask for no GPU, of which the node has none:
  trainer: {image: $image}
  kubernetes: {resources: {nvidia.com/gpu: 0}}

TEXT
# One node: its volumes can be mounted by all of its pods.
helm upgrade --install kgen charts/kgen --kube-context kind-kgen --namespace kgen --create-namespace \
    --set results.claim.accessModes='{ReadWriteOnce}' --set "image.repository=${image%:*},image.tag=${image##*:}"
