"""The report page as a reader has it: opened from disk, by mouse and by keyboard, wide and narrow, hostile and big.

`bash tests/browser/run` runs it.
"""

import os
import statistics
import shutil
import tempfile
import time
import unittest
from pathlib import Path
from urllib.parse import unquote, urlparse

from playwright.sync_api import sync_playwright

import pages

SHOTS = pages.ROOT / "target/browser"
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
)

# Sets a field and measures until everything is laid out again.
TIMED = """([id, value]) => {
    const field = document.getElementById(id);
    const start = performance.now();
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.body.offsetHeight;
    return performance.now() - start;
}"""


class PageTest(unittest.TestCase):
    """A page in a browser that reports whatever leaves it or goes wrong."""

    make = None

    @classmethod
    def setUpClass(cls):
        if cls.make is None:
            raise unittest.SkipTest("the base of the others")
        cls.folder = tempfile.TemporaryDirectory()
        cls.address = cls.make(Path(cls.folder.name)).as_uri()
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.folder.cleanup()

    def open(self, width=1400, height=900, **options):
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(15_000)
        self.faults, self.requests = [], []
        page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: (self.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.address)
        return page

    def assert_quiet(self):
        """Nothing went wrong, and nothing but the page was asked for."""
        self.assertEqual(self.faults, [])
        outside = [url for url in self.requests if not url.startswith("data:") and url.split("#")[0] != self.address]
        self.assertEqual(outside, [])

    def shoot(self, page, name):
        """A picture of each section; of the whole page nobody sees anything."""
        for index, section in enumerate(page.locator("header.top, main > section, footer").all()):
            section.scroll_into_view_if_needed()
            section.evaluate("section => section.scrollIntoView({ behavior: 'instant' })")
            page.screenshot(path=SHOTS / f"{name}-{index}.png")

    def assert_fits(self, page):
        width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(width, inner)

    def count(self, page):
        told = page.text_content("#count")
        return 0 if told == "No question matches" else int(told.split()[0].replace(",", ""))


class Mini(PageTest):
    make = staticmethod(pages.mini)

    def test_sorts_by_click_and_keyboard(self):
        page = self.open()
        table = page.locator("table.sortable").first
        heading = table.get_by_role("columnheader", name="questions/s")

        def speeds():
            """The speeds in their order; rows without one come last."""
            cells = table.locator("tbody td:last-child").all_text_contents()
            numbers = [float(cell) for cell in cells if cell != "-"]
            self.assertEqual(cells[len(numbers):], ["-"] * (len(cells) - len(numbers)))
            return numbers

        heading.get_by_role("button").click()
        self.assertEqual(heading.get_attribute("aria-sort"), "descending")
        self.assertEqual(speeds(), sorted(speeds(), reverse=True))
        page.keyboard.press("Enter")
        self.assertEqual(heading.get_attribute("aria-sort"), "ascending")
        self.assertEqual(speeds(), sorted(speeds()))
        self.assertEqual(table.locator("[aria-sort]").count(), 1)
        self.assert_quiet()

    def test_the_first_screen_answers_the_question(self):
        for width, height in ((1400, 900), (390, 844)):
            page = self.open(width=width, height=height)
            verdict = page.locator(".statement").first
            text = " ".join(verdict.text_content().split())
            self.assertRegex(text, r"^matcha-tiny: after is better than before by \d+\.\d points \(\d+\.\d to \d+\.\d\)\. "
                                   r"It is not shown to beat the best blind row, question-prior \(before\): \+\d+\.\d points \(-\d+\.\d to \+\d+\.\d\)\.")
            self.assertRegex(text, r"[1-9]\d* fixed, \d+ broken of 240 questions on \d+ charts; p ≤ 0\.0002")
            for locator in (verdict, page.locator("#leaderboard")):
                box = locator.bounding_box()
                self.assertLess(box["y"] + box["height"], height)
            self.assert_quiet()
        # The leaderboard's first row is on a wide screen, too.
        page = self.open()
        self.assertTrue(page.locator("#content tbody tr").first.evaluate("row => row.getBoundingClientRect().bottom < innerHeight"))

    def test_differences_are_paired_and_on_one_axis_with_zero(self):
        page = self.open()
        rows = page.locator(".differences li:not(.axis)")
        # Since the run before, between the two models, and three models above the best blind row.
        self.assertEqual(rows.count(), 1 + 1 + 3)
        self.assertEqual(rows.first.locator("circle").count(), 1)
        self.assertRegex(rows.first.text_content(), r"[1-9]\d* fixed, \d+ broken of 240 questions")
        self.assertIn("0", page.locator(".plot.differences").first.locator(".scale text").all_text_contents())

    def test_training_curves_follow_the_theme_and_mark_the_kept_step(self):
        page = self.open(color_scheme="light")
        stroke = lambda: page.locator("polyline.line-0").first.evaluate("line => getComputedStyle(line).stroke")
        light = stroke()
        page.click("#theme")
        self.assertNotEqual(stroke(), light)
        self.assertIn("kept: step 150", page.text_content(".curves figcaption"))
        self.assertEqual(page.locator(".lines .kept").count(), 2)
        self.assertIn("validation score, %", page.text_content(".panels"))

    def test_groups_the_questions_of_a_chart(self):
        page = self.open()
        charts = page.locator("#charts > li")
        names = page.locator(".chart-name bdi").all_text_contents()
        self.assertEqual((charts.count(), len(set(names))), (12, 12))
        for verdict in ("", "fixed"):
            page.select_option("#answer", verdict)
            for chart in charts.all():
                said = int(chart.locator(".chart-name").text_content().split(", ")[-1].split()[0])
                self.assertEqual(chart.locator(".cards > li").count(), min(said, 6))
                self.assertEqual(chart.locator(".picture").count(), 1)

    def test_the_questions_that_models_disagree_on_come_first(self):
        page = self.open()

        def splits():
            """For each chart on the page how many of its questions models answer differently."""
            return page.evaluate("""() => [...document.querySelectorAll('.chart')].map((chart) =>
                [...chart.querySelectorAll('.cards > li')].filter((card) => new Set([...card.querySelectorAll('.answers li')]
                    .filter((answer) => answer.textContent.includes('matcha')).map((answer) => answer.className)).size > 1).length)""")

        by_disagreement = splits()
        self.assertEqual(by_disagreement, sorted(by_disagreement, reverse=True))
        self.assertGreater(by_disagreement[0], by_disagreement[-1])
        page.select_option("#order", "data")
        self.assertNotEqual(splits(), by_disagreement)
        self.assert_quiet()

    def test_filters_and_the_open_question_are_in_the_address(self):
        page = self.open()
        page.select_option("#adapter", label="matcha-tiny (after)")
        page.select_option("#answer", "fixed")
        page.get_by_label("taxonomy").select_option(label="reasoning")
        page.fill("#search", "synthetic")
        found = page.text_content("#count")
        page.locator("button.question").first.click()
        opened = page.text_content("#opened-question")
        address = page.url
        other = self.open()
        other.goto("about:blank")
        other.goto(address)
        self.assertEqual(other.text_content("#count"), found)
        self.assertEqual(other.text_content("#opened-question"), opened)
        self.assertTrue(other.get_by_role("dialog").is_visible())
        self.assertEqual(other.input_value("#search"), "synthetic")
        # Closed, the question leaves the address; the filters stay.
        other.keyboard.press("Escape")
        other.wait_for_function("!location.hash.includes('open=')")
        self.assertIn("answer=fixed", other.url)
        # Names that the page does not have are no filters, and a section's address is one still.
        other.evaluate("location.hash = 'adapter=nobody&answer=none&page=99&open=none'")
        other.wait_for_function("document.getElementById('count').textContent.startsWith('240')")
        self.assertFalse(other.get_by_role("dialog").is_visible())
        other.evaluate("location.hash = 'settings'")
        self.assertEqual(self.count(other), 240)

    def test_shows_the_steps_of_the_scoring(self):
        page = self.open()
        page.locator("button.question").first.click()
        answer = page.locator("dialog .answers li.right").first
        answer.locator("summary").click()
        step = answer.locator(".steps li").first.text_content()
        self.assertRegex(step, "^strict accuracy: .+: .+true$")

    def test_filters_and_searches(self):
        page = self.open()
        self.assertEqual(self.count(page), 240)
        page.select_option("#adapter", label="matcha-tiny (after)")
        page.select_option("#answer", "right")
        right = self.count(page)
        page.select_option("#answer", "wrong")
        self.assertEqual(right + self.count(page), 240)
        page.select_option("#answer", "fixed")
        fixed = self.count(page)
        self.assertGreater(fixed, 0)
        # Each one is right in the later run and wrong in the earlier.
        for card in page.locator(".cards > li").all()[:10]:
            self.assertIn("right", card.locator("li", has_text="matcha-tiny (after)").get_attribute("class"))
            self.assertNotIn("right", card.locator("li", has_text="matcha-tiny (before)").get_attribute("class"))
        page.select_option("#answer", "broken")
        broken = self.count(page)
        page.get_by_role("button", name="Reset").click()
        page.wait_for_function("document.getElementById('count').textContent.startsWith('240')")
        scores = lambda run: self.right(page, f"matcha-tiny ({run})")
        self.assertEqual(fixed - broken, scores("after") - scores("before"))
        page.select_option("#adapter", "")
        page.select_option("#answer", "")
        page.get_by_label("taxonomy").select_option(label="reasoning")
        self.assertLess(self.count(page), 240)
        page.fill("#search", "no such text")
        self.assertIn("No question matches", page.text_content("#count"))
        page.get_by_label("taxonomy").select_option(label="any")
        page.fill("#search", "CHART")
        self.assertGreater(self.count(page), 0)
        self.assertEqual(page.get_attribute("#count", "aria-live"), "polite")
        self.assert_quiet()

    def right(self, page, label):
        page.select_option("#adapter", label=label)
        page.select_option("#answer", "right")
        return self.count(page)

    def test_opens_a_question_and_goes_on_by_keyboard(self):
        page = self.open()
        first = page.locator("button.question").first
        first.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        self.assertEqual(dialog.locator("#opened-question").text_content(), first.text_content())
        self.assertTrue(dialog.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth > 0)"))
        page.screenshot(path=SHOTS / "opened.png")
        page.keyboard.press("ArrowRight")
        self.assertIn("2 of 240", dialog.text_content())
        page.keyboard.press("Escape")
        self.assertFalse(dialog.is_visible())
        self.assertTrue(first.evaluate("button => button === document.activeElement"))
        self.assert_quiet()

    def test_pages(self):
        page = self.open()
        self.assertEqual(page.locator("#charts > li").count(), 12)
        pages = int(page.text_content("#count").split(", page 1 of ")[1])
        charts = int(page.text_content("#count").split(" on ")[1].split()[0])
        page.click("#next")
        self.assertIn(f"page 2 of {pages}", page.text_content("#count"))
        for _ in range(pages - 2):
            page.click("#next")
        self.assertTrue(page.locator("#next").is_disabled())
        self.assertEqual(page.locator("#charts > li").count(), charts - 12 * (pages - 1))
        self.assert_quiet()

    def test_themes(self):
        page = self.open(color_scheme="light")
        background = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = background()
        page.click("#theme")
        dark = background()
        self.assertNotEqual(light, dark)
        self.assertEqual(page.text_content("#theme"), "Light theme")
        self.shoot(page, "dark-1400")
        page.reload()
        self.assertEqual(background(), light)
        page.emulate_media(color_scheme="dark")
        self.assertEqual(background(), dark)
        page.click("#theme")
        self.assertEqual(background(), light)
        self.assert_quiet()

    def test_wide_and_narrow(self):
        for width in (1400, 390):
            page = self.open(width=width)
            self.assert_fits(page)
            self.shoot(page, f"light-{width}")
            page.locator("button.question").first.click()
            self.assert_fits(page)
            page.screenshot(path=SHOTS / f"opened-{width}.png")
            self.assert_quiet()

    def test_begins_with_a_skip_link_and_ordered_headings(self):
        page = self.open()
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate("document.activeElement.className"), "skip")
        page.keyboard.press("Enter")
        self.assertEqual(page.evaluate("document.activeElement.id"), "content")
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(heading => Number(heading.tagName[1]))")
        self.assertEqual(levels.count(1), 1)
        self.assertTrue(all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels)
        unnamed = page.evaluate("""[...document.querySelectorAll("button, select, input, img, a")].filter(
            (one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.alt || one.labels?.length)).length""")
        self.assertEqual(unnamed, 0)

    def test_reads_without_javascript(self):
        page = self.open(java_script_enabled=False)
        self.assertTrue(page.locator("table").first.is_visible())
        self.assertTrue(page.locator("#needs-script").is_visible())
        self.assertFalse(page.locator("#gallery").is_visible())
        self.assertFalse(page.locator("#theme").is_visible())
        self.assertGreater(page.locator("svg.track").count(), 10)
        self.shoot(page, "without-javascript")

    def test_prints(self):
        page = self.open()
        page.pdf(path=SHOTS / "printed.pdf", format="A4", print_background=True)
        page.emulate_media(media="print")
        self.assertFalse(page.locator("#filters").is_visible())
        self.assertTrue(page.locator("#charts > li").first.is_visible())
        self.assert_quiet()


class Hostile(PageTest):
    make = staticmethod(pages.hostile)

    def test_everything_is_text(self):
        page = self.open()
        self.assertEqual(self.count(page), len(pages.HOSTILE))
        for text in pages.HOSTILE[:4]:
            self.assertGreater(page.locator("#charts").get_by_text(text, exact=True).count(), 0, text)
        self.assertIn("\\u{202e}right to left\\u{2066}", page.text_content("#charts"))
        self.assertIn("\\u{7}, escape \\u{1b}[31m, zero \\u{0}", page.text_content("#charts"))
        hidden = page.evaluate(r"/[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u001b]/.test(document.documentElement.outerHTML)")
        self.assertFalse(hidden)
        self.assertEqual(page.evaluate("document.scripts.length"), 2)
        self.assertEqual(page.title(), "</title><script>alert(11)</script>")
        page.locator("details").evaluate_all("all => all.forEach(details => { details.open = true; })")
        page.fill("#search", "script")
        page.fill("#search", "")
        page.wait_for_timeout(300)
        attributes = page.evaluate("""[...document.querySelectorAll("*")].flatMap((one) => [...one.attributes])
            .filter(({ name }) => name.startsWith("on")).length""")
        self.assertEqual(attributes, 0)
        self.shoot(page, "hostile-1400")
        self.assertEqual(self.faults, [])

    def test_pictures_come_from_the_page_or_the_data_folder(self):
        page = self.open()
        sources = page.locator("#charts img").evaluate_all("images => images.map(image => image.getAttribute('src'))")
        self.assertTrue(any(source.startswith("data:image/png;base64,") for source in sources))
        self.assertIn("./data/a%20b%231%3F.png", sources)
        for source in sources:
            self.assertTrue(source.startswith(("data:image/png;base64,", "./data/")) and ".." not in source, source)
        for path in ("javascript:alert(5)", "../outside.png"):
            self.assertGreater(page.locator(".no-picture", has_text=path).count(), 0, path)
        linked = page.locator("img[src^='./data/a']").first
        linked.scroll_into_view_if_needed()
        self.assertTrue(linked.evaluate("image => image.decode().then(() => image.naturalWidth === 30)"))
        self.assertEqual([url for url in self.requests if not url.startswith(("file:", "data:"))], [])

    def test_a_long_answer_is_cut_until_asked_for(self):
        page = self.open(width=390)
        self.assert_fits(page)
        page.fill("#search", "long xxx")
        button = page.locator("#charts .answers").get_by_role("button", name="Show all 100,005 characters").first
        text = button.locator("xpath=preceding-sibling::bdi")
        self.assertLess(len(text.text_content()), 500)
        handle = text.element_handle()
        button.click()
        self.assertEqual(len(handle.text_content()), 100_005)
        self.assert_fits(page)
        self.shoot(page, "hostile-390")


class Big(PageTest):
    make = staticmethod(pages.big)

    def test_20_000_questions_open_within_3_s_and_60_mb(self):
        size = Path(unquote(urlparse(self.address).path)).stat().st_size
        start = time.monotonic()
        page = self.open()
        page.wait_for_selector("#charts > li")
        took = time.monotonic() - start
        print(f"{size / 1e6:.1f} MB, open in {took:.1f} s")
        self.assertLess(size, 60e6)
        self.assertLess(took, 3)
        self.assert_quiet()

    def test_marks_what_is_right_but_for_notation(self):
        page = self.open()
        page.select_option("#answer", "notation")
        self.assertGreater(self.count(page), 100)
        marks = page.locator(".notation").all_text_contents()
        self.assertEqual(set(marks), {"right but for notation: percent sign"})
        item = page.locator(".answers li", has=page.locator(".notation")).first
        self.assertEqual(item.get_attribute("class"), "wrong")

    def test_20_000_questions_are_filtered_within_200_ms(self):
        page = self.open()
        self.assertEqual(self.count(page), 20_000)
        steps = [("search", "revenue"), ("search", "2015"), ("search", "nothing like this"), ("search", ""),
                 ("answer", "disagree"), ("answer", "fixed"), ("answer", "wrong"), ("adapter", "0"), ("answer", "")]
        # Three rounds: the first compiles the script, and one may meet a busy machine.
        rounds = [[page.evaluate(TIMED, step) for step in steps] for _ in range(3)]
        for (field, value), times in zip(steps, zip(*rounds)):
            took = statistics.median(times)
            print(f"{field} {value!r}: {took:.0f} ms (median of {', '.join(f'{time:.0f}' for time in times)})")
            self.assertLess(took, 200)
        self.assertEqual(page.locator("#charts > li").count(), 12)
        self.assert_quiet()


if __name__ == "__main__":
    unittest.main()
