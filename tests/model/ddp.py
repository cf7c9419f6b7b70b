"""What `torchrun` starts in test_training_parallel: one training by all processes; the first one saves its weights.

Usage: torchrun --nproc-per-node N -m tests.model.ddp FOLDER
"""

import sys
from pathlib import Path

from tests.model.test_training_parallel import save_trained

if __name__ == "__main__":
    save_trained(Path(sys.argv[1]), batch_size=8)
