"""small.py DIR SEED: 100,000 files of 100 to 1,500 bytes in 200 folders of DIR, others for each SEED."""

import os
import random
import sys

FOLDERS = 200
FILES = 500

top, seed = sys.argv[1:]
chance = random.Random(seed)
for folder in range(FOLDERS):
    path = f"{top}/{folder}"
    os.makedirs(path, exist_ok=True)
    for number in range(FILES):
        with open(f"{path}/{number}", "wb") as out:
            out.write(chance.randbytes(chance.randint(100, 1500)))
