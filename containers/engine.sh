# Sourced by the scripts beside it: which of podman and docker runs images here, and how.
#   CONTAINER_ENGINE   podman or docker; by default the first that is installed

engine_folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# Whether this is root without CAP_SYS_RESOURCE (bit 24), who may not raise limits, as podman's defaults would.
limited_root() {
  local effective
  [[ $EUID == 0 ]] || return 1
  effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
  (((0x$effective >> 24 & 1) == 0))
}

# Prints the engine's command; fails silently where there is none.
engine() {
  if [[ -n ${CONTAINER_ENGINE:-} ]]; then command -v "$CONTAINER_ENGINE"; else command -v podman || command -v docker; fi
}

if limited_root; then
  export CONTAINERS_CONF=${CONTAINERS_CONF:-$engine_folder/containers.conf}
  export APPTAINER_DROP_CAPS=${APPTAINER_DROP_CAPS:-CAP_SYS_RESOURCE}
fi
