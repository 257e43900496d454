"""How long a latent model's predictions hold, along episodes that were played (ALM, App E, Figure 7).

From every step of an episode the model follows the actions that were taken, without noise and without seeing anything
again; its mean latent is compared with the mean that the encoder has of what was observed then.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from relatent.nets.batch import Played

STEPS = 50  # predicted ahead
TINY = 1e-12  # least variance of z that an error is divided by


@torch.no_grad()
def open_loop(
    episodes: Sequence[Played],
    encode: Callable[[Tensor], Tensor],
    step: Callable[[Tensor, Tensor], Tensor],
    device: torch.device,
) -> dict[str, np.ndarray]:
    """`error` (STEPS,): the squared distance of z predicted h steps ahead, over the variance of z over states; NaN
    where no episode is so long. `true` and `predicted` (up to STEPS + 1,): z's first number along the first episode.

    `encode` gives the mean z of observations (N, observation_size), `step` that of the next z from z and actions.
    """
    errors, counts = np.zeros(STEPS), np.zeros(STEPS)
    true, predicted, latents = [], [], []
    for number, episode in enumerate(episodes):
        observations, actions = (torch.from_numpy(array).to(device) for array in episode[:2])
        latent = encoded = encode(observations)
        latents.append(encoded)
        if number == 0:
            true, predicted = encoded[: STEPS + 1, 0].tolist(), [float(encoded[0, 0])]
        for ahead in range(min(STEPS, len(encoded) - 1)):
            latent = step(latent[:-1], actions[ahead : ahead + len(latent) - 1])
            errors[ahead] += float((latent - encoded[ahead + 1 :]).square().sum())
            counts[ahead] += latent.numel()
            if number == 0:
                predicted.append(float(latent[0, 0]))
    variance = float(torch.cat(latents).var(0, correction=0).mean())
    mean_errors = np.divide(errors, counts, out=np.full(STEPS, np.nan), where=counts > 0)
    return {"error": mean_errors / max(variance, TINY), "true": np.array(true), "predicted": np.array(predicted)}
