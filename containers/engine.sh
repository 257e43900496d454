# Sourced by the scripts beside it: which of podman and docker runs images here, and how.
#   CONTAINER_ENGINE   podman or docker; by default the first that works

engine_folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# Whether this is root without CAP_SYS_RESOURCE (bit 24), who may not raise limits, as podman's defaults would.
limited_root() {
  local effective
  [[ $EUID == 0 ]] || return 1
  effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
  (((0x$effective >> 24 & 1) == 0))
}

# Whether an engine is installed and works: docker is only a client, and where its server is not there it runs nothing.
works() { command -v "$1" >/dev/null && { [[ ${1##*/} != docker ]] || timeout 20 "$1" version >/dev/null 2>&1; }; }

# Prints the engine's command; fails silently where there is none.
engine() {
  local name names=(podman docker)
  [[ -z ${CONTAINER_ENGINE:-} ]] || names=("$CONTAINER_ENGINE")
  for name in "${names[@]}"; do
    if works "$name"; then command -v "$name"; return; fi
  done
  return 1
}

if limited_root; then
  export CONTAINERS_CONF=${CONTAINERS_CONF:-$engine_folder/containers.conf}
  export APPTAINER_DROP_CAPS=${APPTAINER_DROP_CAPS:-CAP_SYS_RESOURCE}
fi
