"""Lets oneDNN multiply a model's matrices on a CPU, in float32 as before.

torch multiplies float32 matrices with Intel's MKL, which on other makers' processors leaves AVX-512 unused. oneDNN,
which torch brings along and uses for convolutions, goes by what the processor has. Results differ in the last bits, as
they do between any two processors.
"""

from typing import Any


def with_onednn(model: Any) -> Any:
    """The same module, changed in place: each ``torch.nn.Linear`` in it is oneDNN's, where torch has oneDNN.

    For inference only, on a CPU, in float32; a weight that two layers share is held twice from then on. See
    ``torch.utils.mkldnn.to_mkldnn``, which does it for one layer.
    """
    import torch
    from torch.utils.mkldnn import to_mkldnn

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return model
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, to_mkldnn(child))  # type: ignore[no-untyped-call]
    return model
