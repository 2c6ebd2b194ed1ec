"""What may be wished of a training run: the body of POST /runs, the flags of `aisle train`.

Called by   services/training/routes.py, services/training/config.py, services/command/train_command.py
Light       imports nothing of the pipeline: the service that answers holds neither torch nor SciPy
"""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from shared.contracts.strict import PublicModel

Promotion = Literal["auto", "always", "never"]
TextEncoder = Literal["tfidf", "sentence"]
Days = Annotated[float, Field(gt=0, le=366)]


class RunRequest(PublicModel):
    """Everything is optional; what is not said has the default of services/training/config.py."""

    name: str = Field(default="default", max_length=64, pattern="^[A-Za-z0-9_.-]+$", description="name of the model")
    seed: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None
    epochs: Annotated[StrictInt, Field(ge=1, le=200)] | None = Field(default=None, description="of the Transformer")
    min_item_events: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    validation_days: Days | None = None
    test_days: Days | None = None
    text_encoder: TextEncoder | None = Field(default=None, description="sentence needs the extra `text` and minutes")
    promotion: Promotion = Field(default="auto", description="auto: the gate decides")


class RunAccepted(PublicModel):
    """The answer to POST /runs."""

    run_id: str
    state: str
