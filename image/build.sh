#!/bin/sh
# Build the image with whichever of docker, podman, buildah works here; `make image` calls it.
#
# From the environment: IMAGE (its name), EXTRA (tensorflow or cuda), BASE_IMAGE, ENGINE (to choose one), OPTIONS (more
# for the engine); where packages come from: PIP_INDEX_URL, SSL_CERT_FILE or PIP_CERT, NETRC.
set -eu
cd "$(dirname "$0")/.."
. image/engine.sh

revision=${REVISION:-$(git rev-parse HEAD 2>/dev/null || true)}
if [ -z "${REVISION:-}" ] && [ -n "$revision" ] && [ -n "$(git status --porcelain 2>/dev/null)" ]; then
    revision=$revision-dirty
fi

set -- --build-arg "EXTRA=${EXTRA:-tensorflow}" --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
if [ -n "${BASE_IMAGE:-}" ]; then set -- "$@" --build-arg "BASE_IMAGE=$BASE_IMAGE"; fi
# Without its value, which may hold a password: the engine takes that from the environment.
if [ -n "${PIP_INDEX_URL:-}" ]; then set -- "$@" --build-arg PIP_INDEX_URL; fi
for bundle in "${SSL_CERT_FILE:-}" "${PIP_CERT:-}"; do
    if [ -f "$bundle" ]; then
        set -- "$@" --secret "id=ca,src=$bundle"
        break
    fi
done
if [ -f "${NETRC:-}" ]; then set -- "$@" --secret "id=netrc,src=$NETRC"; fi
# buildah reuses layers only where it is told to.
if [ "$engine" = buildah ]; then set -- "$@" --layers; fi

# shellcheck disable=SC2086  # OPTIONS are several words
$engine build "$@" ${OPTIONS:-} --file image/Dockerfile --tag "$image" .

case $engine in
    docker) load="kind load docker-image $image" ;;
    podman) load="podman save --output image.tar $image && kind load image-archive image.tar" ;;
    *) load="buildah push $image docker-archive:image.tar:$image && kind load image-archive image.tar" ;;
esac
case $image in
    */*/* | *.*/*) push="$engine push $image" ;;
    *) push="make image IMAGE=REGISTRY/kgen-trainer:$version && $engine push REGISTRY/kgen-trainer:$version" ;;
esac
echo
echo "built:      $image (extra ${EXTRA:-tensorflow}, by $engine)"
echo "push it:    $push"
echo "or to kind: $load"
echo "then:       trainer: {image: $image} in the sweep file"
