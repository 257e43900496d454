#!/usr/bin/env bash
# containers/get_apptainer.sh FOLDER: a real Apptainer on Debian 12, which has none: Debian's own package from sid, and the
# newer libc that it wants, unpacked in FOLDER. No library of the system is replaced. Prints the folder for PATH.
# Does nothing when it is there. With root it installs the tools that Apptainer calls.
#   DEBIAN_MIRROR   an archive such as http://HOST; by default the one that this machine's apt uses
set -euo pipefail
folder=$(realpath -m "${1:?usage: containers/get_apptainer.sh FOLDER}")
bin=$folder/usr/bin

if "$bin/apptainer" --version >/dev/null 2>&1; then echo "$bin"; exit; fi

tools=(patchelf squashfs-tools squashfuse fuse2fs)
if ! dpkg --status "${tools[@]}" >/dev/null 2>&1; then
  [[ $EUID == 0 ]] || { echo "error: not installed, and only root can: ${tools[*]}" >&2; exit 2; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${tools[@]}" >/dev/null
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{lists/partial,cache/archives/partial,debs,other} "$folder/lib"
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' | sed -n 's#/debian$##p' | head -1)}
for suite in trixie sid; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian $suite main"
done >"$scratch/sources.list"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null
     -o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
cd "$scratch/debs"
"${apt[@]}" download apptainer/sid || { echo "error: Debian sid has no apptainer any more" >&2; exit 1; }
"${apt[@]}" download libc6/trixie libseccomp2/trixie libsqlite3-0/trixie
sha256sum ./*.deb >&2

dpkg-deb -x apptainer_*.deb "$folder"
for package in lib*.deb; do dpkg-deb -x "$package" "$scratch/other"; done
libraries=$scratch/other/usr/lib/x86_64-linux-gnu
cp -a "$libraries"/{libc.so.6,ld-linux-x86-64.so.2,libm.so.6,libresolv.so.2,libnss_*.so.2,libpthread.so.0,libdl.so.2} \
  "$folder/lib/"
cp -aL "$libraries"/{libseccomp.so.2,libsqlite3.so.0} "$folder/lib/"
# Apptainer finds its files from where it lies, and is one level off because of Debian's lib/x86_64-linux-gnu.
ln -sfn ../etc "$folder/usr/etc"
ln -sfn ../var "$folder/usr/var"
ln -sfn ../../etc "$folder/usr/lib/etc"
ln -sfn ../../var "$folder/usr/lib/var"
for program in "$bin/apptainer" "$folder/usr/lib/x86_64-linux-gnu/apptainer/bin/starter"; do
  patchelf --set-interpreter "$folder/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$folder/lib" "$program"
done
"$bin/apptainer" --version >&2
echo "$bin"
