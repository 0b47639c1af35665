"""A small exact extractor, and processes that are threads."""

import threading
from types import MappingProxyType

import torch

from riemann_noise_pytorch.metrics.extractors.interfaces import Extractor
from riemann_noise_pytorch.statistics.sampling import Processes


class PixelSums(Extractor):
    """Sums of pixels: integers, hence exact in float32 at any batch size."""

    key, name, official = "sums", "pixel sums", True
    weights_sha256, resize, smallest = None, "none", 1
    dimensions = MappingProxyType({"columns": 8, "rows": 6})

    def __init__(self):
        super().__init__()
        self.seen = 0

    def features_of(self, images):
        self.seen += len(images)
        planes = images.float().sum(dim=1)
        return {"columns": planes.sum(dim=1), "rows": planes.sum(dim=2)}


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 6, 8), generator=generator, dtype=torch.uint8)


def in_processes(world_size, work):
    """Call ``work(processes)`` in as many threads, and give what each returned or raised."""
    barrier, shared, results = threading.Barrier(world_size), [None] * world_size, [None] * world_size

    def run(rank):
        def gather(tensor):
            shared[rank] = tensor.clone()
            barrier.wait(timeout=30)
            assert len({(part.shape, part.dtype) for part in shared}) == 1
            whole = torch.cat(shared)
            barrier.wait(timeout=30)
            return whole

        try:
            results[rank] = work(Processes(rank, world_size, gather))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return results
