# Sourced by build.sh and sbom.sh: sets `engine` to what builds and runs images here, `version` to kgen's, and `image`
# to the image's name, from ENGINE and IMAGE where they are set.
# shellcheck shell=sh disable=SC2034

# A client may be installed whose daemon is not there.
works() {
    case $1 in
        buildah) command -v buildah ;;
        *) command -v "$1" && "$1" info ;;
    esac >/dev/null 2>&1
}

engine=${ENGINE:-}
for candidate in docker podman buildah; do
    if [ -z "$engine" ] && works $candidate; then engine=$candidate; fi
done
if [ -z "$engine" ] || ! works "$engine"; then
    echo "kgen: no ${engine:-docker, podman or buildah} that works here: install one (Debian, Ubuntu: apt-get install" \
        "buildah)" >&2
    exit 1
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' kgen/__init__.py)
# The others put localhost/ before a name without a registry.
case $engine in
    docker) image=${IMAGE:-kgen-trainer:$version} ;;
    *) image=${IMAGE:-localhost/kgen-trainer:$version} ;;
esac
