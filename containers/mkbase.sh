#!/usr/bin/env bash
# containers/mkbase.sh OUT.tar: a Debian bookworm with Python 3.11 from the distribution's packages, for machines that
# reach no image registry. The same file bit for bit while the archive has the same packages. Needs root and mmdebstrap.
#   DEBIAN_MIRROR   an archive such as http://HOST; by default the one that this machine's apt uses
set -euo pipefail
out=${1:?usage: containers/mkbase.sh OUT.tar}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:?the time that the image is dated, in seconds since the epoch}
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' | sed -n 's#/debian$##p' | head -1)}
[[ -n $mirror ]] || { echo "error: apt knows no archive of Debian bookworm; set DEBIAN_MIRROR" >&2; exit 1; }

# Without the last hook the archive holds this machine's host name and name servers.
mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
  --include=ca-certificates,python3,python3-venv,libpython3.11 \
  --aptopt='Apt::Install-Recommends "false"' \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-include=/usr/share/locale/locale.alias' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --customize-hook='rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old \
                    "$1"/var/log/*; : > "$1/etc/machine-id"' \
  bookworm "$out" \
  "deb $mirror/debian bookworm main" \
  "deb $mirror/debian bookworm-updates main" \
  "deb $mirror/debian-security bookworm-security main"
