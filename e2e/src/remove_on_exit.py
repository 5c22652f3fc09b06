"""Removes a directory when whoever started this has ended: remove_on_exit.py DIRECTORY

That is when standard input ends. Processes that write there may take a moment to end too.
"""

import os
import shutil
import sys
import time

sys.stdin.read()
for _ in range(100):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
