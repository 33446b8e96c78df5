"""Imported first by the process that workers are forked from (multiprocessing's fork server): what all of them need, once.

It ends with the gateway. The fork server alone would wait for its children as well, of which a stopped one ends for nobody
but the kernel.
"""

import gc
import os

import torch  # noqa: F401

from model.workers.link import die_with_parent, leave_stopping_to_parent

die_with_parent()
leave_stopping_to_parent()
os.register_at_fork(
    before=gc.freeze
)  # imports are no garbage: a worker that looked through them would copy their pages
