"""large.py MEGABYTES FILES SEED: a layer as a tar on stdout: FILES files, MEGABYTES in all, a tenth of them by SEED. Incompressible,
so that nothing is faster than reading it."""

import io
import random
import sys
import tarfile

megabytes, count, seed = (int(n) for n in sys.argv[1:])
length = megabytes * 1_000_000 // count
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    for n in range(count):
        content = random.Random(f"{n} {seed}" if n % 10 == 0 else n).randbytes(length)
        entry = tarfile.TarInfo(f"srv/large/{n // 100}/{n}")
        entry.size = length
        tar.addfile(entry, io.BytesIO(content))
