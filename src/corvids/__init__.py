"""Train quadrotors to juggle a ball and to carry cable-suspended loads, and fly what was trained.

The subpackages are the repository's top folders: ``envs``, ``controllers``, ``training``, ``deploy`` and
``calibration``. Importing ``corvids`` itself imports none of them, so the companion computer loads only what it flies.
"""

__version__ = "0.1.0"
