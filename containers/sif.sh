#!/usr/bin/env bash
# containers/sif.sh VARIANT IMAGE_ID: the Apptainer file of an image, containers/relatent-VARIANT-<12 of its id>.sif, which
# says inside, in /etc/relatent-image, which image it was made from. Does nothing without Apptainer, or when it is there.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
source ./engine.sh
variant=$1 id=sha256:${2#sha256:}
file=relatent-$variant-${id:7:12}.sif
[[ ! -f $file ]] || exit 0
if ! command -v apptainer >/dev/null || [[ $(apptainer --version) == *shim* ]]; then
  echo "no Apptainer here, so no $file"
  exit 0
fi

engine=$(engine)
scratch=$(mktemp -d "$PWD/.sif.XXXXXX")  # beside the result: /tmp may be small
trap 'rm -rf "$scratch"; "$engine" image rm --force "localhost/relatent-sif:$variant" >/dev/null 2>&1 || true' EXIT
echo "making containers/$file"
echo "$id" >"$scratch/relatent-image"
printf 'FROM %s\nCOPY relatent-image /etc/relatent-image\n' "${id#sha256:}" >"$scratch/Dockerfile"
"$engine" build --quiet --tag "localhost/relatent-sif:$variant" "$scratch" >/dev/null
# Compressed already, and fast: Apptainer would do it, and slowly.
if [[ $engine == *podman ]]; then
  source=oci:$scratch/image
  "$engine" push --quiet --compression-format zstd "localhost/relatent-sif:$variant" "$source"
else
  source=docker-archive:$scratch/image.tar
  "$engine" save --output "$scratch/image.tar" "localhost/relatent-sif:$variant"
fi
# Little compression: it is unpacked at every start, and made once.
APPTAINER_DISABLE_CACHE=1 APPTAINER_TMPDIR=$scratch apptainer --quiet build \
  --mksquashfs-args "-comp zstd -Xcompression-level 1" "$scratch/image.sif" "$source"
mv "$scratch/image.sif" "$file"
