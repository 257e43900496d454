#!/usr/bin/env bash
# containers/build.sh [cpu|cuda]: build the image, compare it with its pin in containers/images.yaml, and make the .sif
# file where Apptainer is installed. `make image` and `make image-pin` call it. An image that is there is not built again.
#   RENEW=1            build anew whatever is there, and write the pin instead of comparing
#   BASE_IMAGE         image to build on, best NAME@sha256:DIGEST; `debian`: one made here from Debian's packages. By
#                      default the Dockerfile's, or `debian` where that cannot be pulled
#   TORCH_INDEX        package index with PyTorch's +cpu wheels
#   WHEELS             folder of wheels to use as well; by default pip's find-links
#   CONTAINER_ENGINE   podman or docker
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
source ./engine.sh
variant=${1:-cpu}
export SOURCE_DATE_EPOCH=1767225600  # 2026-01-01

fail() { echo "error: $*" >&2; exit 2; }

# Install Debian packages if this is root on a machine that has apt.
install() {
  [[ $EUID == 0 ]] && command -v apt-get >/dev/null || fail "not installed: $*"
  echo "installing $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" >/dev/null
}

pin() { python -m relatent.commands.image "$@"; }

[[ -f torch-$variant.lock ]] || fail "VARIANT=$variant: expected cpu or cuda"
if ! engine >/dev/null && [[ ${CONTAINER_ENGINE:-podman} == podman ]]; then install podman runc uidmap; fi
engine=$(engine) || fail "CONTAINER_ENGINE=${CONTAINER_ENGINE:-podman}: not installed, or its server does not answer"

if [[ -z ${RENEW:-} ]]; then
  id=$(pin current "$variant") || exit
  if "$engine" image inspect "$id" >/dev/null 2>&1; then
    echo "the pinned $variant image is here: $id"
    exec ./sif.sh "$variant" "$id"
  fi
fi

# One layer, the same whoever builds it and when. Docker writes images of its own, which have other ids.
common=(--build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH")
if [[ $engine == *podman ]]; then
  common+=(--no-cache --layers=false --identity-label=false --timestamp "$SOURCE_DATE_EPOCH")
fi
args=("${common[@]}" --build-arg "VARIANT=$variant" --build-arg "TORCH_INDEX=${TORCH_INDEX:-}")
wheels=${WHEELS:-${PIP_FIND_LINKS:-$(python -m pip config get global.find-links 2>/dev/null || true)}}
if [[ -d $wheels ]]; then args+=(--build-context "wheels=$wheels"); fi
if [[ $variant == cpu && -z ${TORCH_INDEX:-} ]] && ! compgen -G "$wheels/torch-*+cpu-*.whl" >/dev/null; then
  fail "the +cpu build of PyTorch is on no default package index; set TORCH_INDEX=URL or WHEELS=FOLDER, or VARIANT=cuda"
fi
if [[ -n ${PIP_CERT:-} ]]; then args+=(--secret "id=cacerts,src=$PIP_CERT"); fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)}
if [[ -z ${BASE_IMAGE:-} ]] && ! timeout 300 "$engine" pull --quiet "$base" >/dev/null 2>"$scratch/pull"; then
  echo "$base cannot be pulled here; building on a base of Debian's packages"
  base=debian
fi
from=$base
if [[ $base == debian ]]; then
  command -v mmdebstrap >/dev/null || install mmdebstrap
  from=localhost/relatent-base:bookworm
  ./mkbase.sh "$scratch/base.tar"
  printf 'FROM scratch\nADD base.tar /\n' >"$scratch/Dockerfile"
  "$engine" build --quiet "${common[@]}" --tag "$from" "$scratch" >/dev/null
  rm "$scratch/base.tar"
fi

mkdir -p ../logs
echo "building the $variant image on $base; its messages are in logs/image.log"
"$engine" build "${args[@]}" --build-arg "BASE_IMAGE=$from" --tag "localhost/relatent:$variant" --file Dockerfile . \
  >../logs/image.log 2>&1 || { tail -n 20 ../logs/image.log >&2; fail "the build failed, see logs/image.log"; }

id=$("$engine" image inspect --format '{{.Id}}' "localhost/relatent:$variant")
"$engine" run --rm "$id" cat /etc/apt-versions.txt >"$scratch/packages"
pin "$([[ -n ${RENEW:-} ]] && echo renew || echo compare)" "$variant" --id "$id" --base "$base" --packages "$scratch/packages"
./sif.sh "$variant" "$id"
