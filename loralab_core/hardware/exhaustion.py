"""How an allocation that failed is told from other errors, on every device, without importing torch."""

TYPES = frozenset({"MemoryError", "OutOfMemoryError"})  # Python's and numpy's, torch's
SIGNS = (
    "MPS backend out of memory",  # a bare RuntimeError
    "DefaultCPUAllocator",  # another: "can't allocate memory", or "not enough memory" elsewhere
    "bad_alloc",  # of C++, as a binding hands it on
    "CUDA error: out of memory",  # outside the allocator, as when a context or a library's workspace is made
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory, of the device or of the host, could not be had."""
    if any(kind.__name__ in TYPES for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
