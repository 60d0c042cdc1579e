"""Compressors of messages, one file each."""

from typing import Annotated

from dimat.communication.compression.compressor import Compressor
from dimat.communication.compression.identity import Identity
from dimat.communication.compression.quantized import Quantized
from dimat.communication.compression.signs import Signs
from dimat.communication.compression.sparse import RandomK, TopK
from dimat.spec import OneOf

AnyCompressor = Annotated[TopK | RandomK | Quantized | Signs | Identity, OneOf()]

__all__ = ["AnyCompressor", "Compressor", "Identity", "Quantized", "RandomK", "Signs", "TopK"]
