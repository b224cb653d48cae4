"""`scripts/test`, once there is an environment."""

import sys

from tests.support.runner import main

sys.exit(main(sys.argv[1:]))
