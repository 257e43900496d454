"""Families of policies that world models are differentiated through, by the name that YAML gives them."""

from relatent.nets.autoregressive_flow import TanhFlow
from relatent.nets.tanh_policy import SoftMixture, TanhGaussian, TanhMixture

Policy = TanhGaussian | TanhMixture | TanhFlow
POLICIES: dict[str, type[Policy]] = {
    "gaussian": TanhGaussian,
    "mixture": TanhMixture,
    "soft_mixture": SoftMixture,
    "flow": TanhFlow,
}
