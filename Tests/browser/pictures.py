"""Takes the screenshots of the documents: of the demonstration, while it runs and afterwards."""

import sys
from pathlib import Path

from support import Browser, Ledger, serving

SIZE = (1120, 850)


def main(folder):
    with serving() as url:
        ledger = Ledger(url)
        for _ in range(2):
            assert ledger.demo("--speed", "0").wait(120) == 0
        light, dark = Browser(SIZE), Browser(SIZE, dark=True)
        try:
            demo = ledger.demo("--speed", "0.6")
            light.open(f"{url}/").wait_live()
            row = "table.jobs tbody tr[data-state=running] th a"
            light.wait(lambda: light.all(row))
            light.open(light.find(row).get_attribute("href")).wait_live()
            # The zombie of step2/2 has lost its unit, and the page shows why.
            light.wait(lambda: any("step2/2 restarted" in note.text for note in light.all(".note.fell")), 60)
            light.wait(lambda: light.text("#chain strong"))
            light.wait(lambda: "step2" in light.text("#chart h2") and light.all("#chart circle"))
            light.driver.save_screenshot(str(folder / "job-page.png"))
            address = light.driver.current_url
            assert demo.wait(240) == 0
            dark.resize(SIZE[0], 1130)
            dark.open(f"{address}?indicator=step2&at_sequence=33")
            dark.wait(lambda: dark.text("#chain strong"))
            dark.driver.save_screenshot(str(folder / "past-page.png"))
        finally:
            light.close()
            dark.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
