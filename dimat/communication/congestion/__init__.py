"""A link that agents share, and controllers that say how fast each may send: one file each."""

from typing import Annotated

from dimat.communication.congestion.adpg import Adpg
from dimat.communication.congestion.aimd import Aimd
from dimat.communication.congestion.fixed import Fixed
from dimat.communication.congestion.proportional import Proportional
from dimat.spec import OneOf

AnyController = Annotated[Fixed | Aimd | Proportional | Adpg, OneOf()]
