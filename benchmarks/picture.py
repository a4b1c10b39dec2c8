"""A picture of a report's first page, for the README.

    python -m benchmarks.picture RUN docs/report.png [--height 1150]

RUN is the folder that `kernelwright bench` made. Needs Chromium, chromedriver and selenium.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from pathlib import Path

from kernelwright.report import site
from tests.browser.driving import browser, see

WIDTH = 1240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--height", type=int, default=1150)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernelwright-report-") as folder:
        options.picture.write_bytes(pictured(site.write(options.run, Path(folder)), options.height))


def pictured(page: Path, height: int) -> bytes:
    """The page's top in light colours, as PNG."""
    view = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    with browser() as driver:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        see(driver, page)
        return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])


if __name__ == "__main__":
    main()
