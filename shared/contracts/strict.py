"""The two base models: the public border refuses unknown fields, the internal one ignores them.

Public contracts forbid what they do not know, so a misspelt field is an error and not a silent default. Between our own
services unknown fields are ignored, so that two versions run side by side during a deployment.
"""

from pydantic import BaseModel, ConfigDict


class PublicModel(BaseModel):
    """A message from or to a shop."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InternalModel(BaseModel):
    """A message between two Aisle services."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())
