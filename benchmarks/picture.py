"""A picture of a report's first page, for the README.

    python -m benchmarks.picture RUN docs/report.png

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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernelwright-report-") as folder:
        options.picture.write_bytes(pictured(site.write(options.run, Path(folder))))


def pictured(page: Path) -> bytes:
    """From the page's top to the end of its second chart, in light colours, as PNG."""
    view = {"width": WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    with browser() as driver:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        see(driver, page)
        end = driver.execute_script("return document.querySelector('figure.wide').getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": end + 16, "scale": 1}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        return base64.b64decode(shot["data"])


if __name__ == "__main__":
    main()
