"""One OpenMP thread for all: vLLM's CPU worker is forked, which hangs once torch has used more in this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
