"""Laws for plugins, to be run in the tests of a package that adds to Noisebeam.

    from noisebeam.testing import check_corruption, check_format, check_segmenter
    from noisebeam.testing.runners import check_runner    # needs noisebeam[beam]

    def test_token_swap():
        check_corruption(TokenSwap())

Each function generates inputs from a seed, applies the plugin to them, and raises BrokenLawError in
one line with the plugin, the law and the input. Noisebeam's own plugins are tested with the same
functions.
"""

from noisebeam.testing.corruptions import check_corruption
from noisebeam.testing.formats import check_format
from noisebeam.testing.laws import BrokenLawError
from noisebeam.testing.segmenters import check_segmenter

__all__ = ["BrokenLawError", "check_corruption", "check_format", "check_segmenter"]
