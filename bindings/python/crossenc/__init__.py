"""The CrossEncoder and the SentenceTransformer of Sentence Transformers without PyTorch, on crossenc's C library.

    from crossenc import CrossEncoder
    model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", device="cpu")
    model.rank("How many people live in Berlin?", ["Berlin has 3.5 million inhabitants.", "New York is big."])

    from crossenc import SentenceTransformer
    model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", device="cpu")
    embeddings = model.encode(["Berlin has 3.5 million inhabitants.", "New York is big."])
"""
from . import util
from ._activations import Identity, ReLU, Sigmoid, Softmax, Tanh
from ._crossenc import DeviceError, InputError, ModelError, version
from ._devices import Device, DeviceInfo, devices
from ._models import default_model_path
from ._placement import Health, Placement
from ._quantization import quantize_embeddings
from ._similarity import SimilarityFunction
from .cross_encoder import CrossEncoder
from .sentence_transformer import SentenceTransformer

__version__ = version()
__all__ = [
    "CrossEncoder", "Device", "DeviceError", "DeviceInfo", "Health", "Identity", "InputError", "ModelError",
    "Placement", "ReLU", "SentenceTransformer", "Sigmoid", "SimilarityFunction", "Softmax", "Tanh",
    "default_model_path", "devices", "quantize_embeddings", "util",
]
