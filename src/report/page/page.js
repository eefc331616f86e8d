"use strict";

/* The page's script: theme, sorting, and the gallery. Text from models and data sets is set as text, never as markup. */
(() => {
  const PER_PAGE = 50;
  /* Characters of an answer that are shown before all of them are asked for. */
  const LONG = 200;

  const element = (id) => document.getElementById(id);

  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  /* ---- theme: the reader's own until the button is pressed; kept in the page alone ---- */

  const startTheme = () => {
    const root = document.documentElement;
    const button = element("theme");
    const preferred = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ?? (preferred.matches ? "dark" : "light")) === "dark";
    const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      name();
    });
    preferred.addEventListener("change", name);
    button.hidden = false;
    name();
  };

  /* ---- tables that are sorted by their headings ---- */

  const cellKey = (cell, byNumber) => {
    const text = cell.dataset.value ?? cell.textContent.trim();
    if (!byNumber) return text;
    const number = Number.parseFloat(text);
    return Number.isNaN(number) ? null : number;
  };

  const compareKeys = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));

  const sortBy = (table, heading) => {
    const byNumber = heading.dataset.sort === "number";
    const current = heading.getAttribute("aria-sort");
    /* Numbers begin with the highest, words with the first. */
    const ascending = current ? current === "descending" : !byNumber;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [cellKey(row.cells[heading.cellIndex], byNumber), row]);
    keyed.sort(([a], [b]) => {
      /* What has no value comes last either way. */
      if (a === null || b === null) return (a === null) - (b === null);
      return ascending ? compareKeys(a, b) : compareKeys(b, a);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  const makeSortable = (table) => {
    for (const heading of table.tHead.rows[0].cells) {
      const button = make("button", { type: "button" }, ...heading.childNodes);
      button.addEventListener("click", () => sortBy(table, heading));
      heading.append(button);
    }
  };

  /* ---- pieces of the gallery ---- */

  const VERDICTS = {
    right: ["✓", "right"],
    partly: ["≈", "partly right"],
    wrong: ["✗", "wrong"],
    failed: ["!", "failed"],
    unscored: ["–", "not scored"],
  };

  const hidden = (text) => make("span", { className: "hidden", textContent: text });

  /* A text of any length: cut where it is long, with its length and a button for the rest. */
  const textOf = (text) => {
    const shown = make("bdi", { className: "text", textContent: text });
    if (text.length <= LONG) return [shown];
    /* Not between the halves of a character. */
    const end = /[\uD800-\uDBFF]/.test(text[LONG - 1]) ? LONG - 1 : LONG;
    shown.textContent = `${text.slice(0, end)}…`;
    shown.tabIndex = -1;
    const label = `Show all ${text.length.toLocaleString("en")} characters`;
    const button = make("button", { type: "button", className: "more", textContent: label });
    button.addEventListener("click", () => {
      shown.textContent = text;
      shown.focus();
      button.remove();
    });
    return [shown, " ", button];
  };

  const words = (text) => make("p", { className: "no-picture" }, make("bdi", { textContent: text }));

  const pictureOf = (chart) => {
    const { data, link, text } = chart.picture;
    if (text !== undefined) return words(text);
    const image = make("img", { alt: `Chart ${chart.id}`, loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(words(`the picture of ${chart.id} is not there`)));
    image.src = data ?? link;
    return image;
  };

  const percent = (score) => (score === null ? "–" : (100 * score).toFixed(score === 0 || score === 1 ? 0 : 1));

  const answerOf = (row, answer, metrics) => {
    const item = make("li", { className: answer.verdict });
    const [symbol, meaning] = VERDICTS[answer.verdict];
    const mark = make("span", { className: "mark" }, make("span", { ariaHidden: "true", textContent: symbol }));
    mark.append(hidden(`${meaning}: `));
    const who = make("span", { className: "who" }, make("bdi", { textContent: row.label }));
    if (answer.change) who.append(" ", make("span", { className: `change ${answer.change}`, textContent: answer.change }));
    const what = make("span", { className: "what" });
    if (answer.text !== undefined) what.append(...(answer.text === "" ? [make("i", { textContent: "empty" })] : textOf(answer.text)));
    if (answer.error !== undefined) what.append(make("span", { className: "error" }, ...textOf(answer.error)));
    if (metrics) {
      const scores = metrics.map((metric, index) => `${metric} ${percent(answer.scores[index])}`);
      what.append(make("span", { className: "scores", textContent: scores.join(" · ") }));
    } else if (answer.verdict === "partly") {
      what.append(make("span", { className: "scores", textContent: `${percent(answer.scores[0])} %` }));
    }
    item.append(mark, who, what);
    return item;
  };

  const answersOf = (data, question, chosen, metrics) => {
    const list = make("ul", { className: "answers" });
    question.answers.forEach((answer, index) => {
      if (!answer) return;
      const item = answerOf(data.rows[index], answer, metrics);
      if (index === chosen) item.classList.add("chosen");
      list.append(item);
    });
    return list;
  };

  const goldOf = (question) =>
    make("p", { className: "gold" }, make("span", { className: "who", textContent: "gold" }), make("span", { className: "what" }, ...textOf(question.gold)));

  const factsOf = (data, question) => {
    const facts = [["question", question.id], ["chart", data.charts[question.chart].id]];
    data.slices.forEach((slice, index) => {
      const value = question.slices[index];
      if (value !== null) facts.push([slice.name, slice.values[value]]);
    });
    const pair = ([name, value]) =>
      make("div", {}, make("dt", {}, make("bdi", { textContent: name })), make("dd", {}, ...textOf(value)));
    return make("dl", {}, ...facts.map(pair));
  };

  /* ---- the gallery: an array is filtered, a page of it is drawn ---- */

  const anyAnswer = (question, chosen, test) =>
    chosen === null
      ? question.answers.some((answer) => answer && test(answer))
      : Boolean(question.answers[chosen] && test(question.answers[chosen]));

  const tests = (data) => ({
    right: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => verdict === "right"),
    wrong: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => ["wrong", "partly", "failed"].includes(verdict)),
    failed: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => verdict === "failed"),
    fixed: (question, chosen) => anyAnswer(question, chosen, ({ change }) => change === "fixed"),
    broken: (question, chosen) => anyAnswer(question, chosen, ({ change }) => change === "broken"),
    disagree: (question) => {
      const models = question.answers.filter((answer, index) => answer && data.rows[index].kind === "model");
      return new Set(models.map(({ verdict }) => verdict)).size > 1;
    },
  });

  const searchable = (data) =>
    data.questions.map((question) => {
      const answers = question.answers.map((answer) => answer?.text ?? answer?.error ?? "");
      const parts = [question.id, data.charts[question.chart].id, question.question, question.gold, ...answers];
      return parts.join("\n").toLowerCase();
    });

  const startGallery = (data) => {
    const texts = searchable(data);
    const test = tests(data);
    const [search, adapter, verdict, cards] = ["search", "adapter", "verdict", "cards"].map(element);
    const [opened, openedBody] = ["opened", "opened-body"].map(element);
    let found = data.questions.map((_, index) => index);
    let page = 0;
    /* The place in `found` of the question in the dialog. */
    let open = 0;

    data.rows.forEach((row, index) => adapter.append(make("option", { value: String(index), textContent: row.label })));
    const slices = data.slices.map((slice) => {
      const select = make("select", {}, make("option", { value: "", textContent: "any" }));
      slice.values.forEach((value, index) => select.append(make("option", { value: String(index), textContent: value })));
      element("slice-filters").append(make("label", {}, make("bdi", { textContent: slice.name }), " ", select));
      return select;
    });

    const number = (select) => (select.value === "" ? null : Number(select.value));
    const pages = () => Math.max(1, Math.ceil(found.length / PER_PAGE));

    const card = (place) => {
      const question = data.questions[found[place]];
      const button = make("button", { type: "button", className: "question" }, make("bdi", { textContent: question.question.slice(0, LONG) + (question.question.length > LONG ? "…" : "") }));
      button.addEventListener("click", () => openQuestion(place));
      const picture = make("div", { className: "picture" }, pictureOf(data.charts[question.chart]));
      picture.addEventListener("click", () => openQuestion(place));
      return make("li", {}, picture, make("h3", {}, button), goldOf(question), answersOf(data, question, number(adapter)));
    };

    const draw = () => {
      const start = page * PER_PAGE;
      const places = found.slice(start, start + PER_PAGE).map((_, index) => start + index);
      cards.replaceChildren(...places.map(card));
      cards.start = start + 1;
      const total = data.questions.length.toLocaleString("en");
      const some = found.length === 0 ? "No question matches" : `${found.length.toLocaleString("en")} of ${total} questions`;
      element("count").textContent = pages() > 1 ? `${some}, page ${page + 1} of ${pages()}` : some;
      element("page-number").textContent = `${page + 1} / ${pages()}`;
      element("previous").disabled = page === 0;
      element("next").disabled = page + 1 >= pages();
      element("pager").hidden = pages() === 1;
    };

    const filter = () => {
      const needle = search.value.trim().toLowerCase();
      const chosen = number(adapter);
      const passes = test[verdict.value];
      const values = slices.map(number);
      found = [];
      data.questions.forEach((question, index) => {
        if (needle && !texts[index].includes(needle)) return;
        if (values.some((value, slice) => value !== null && question.slices[slice] !== value)) return;
        if (passes && !passes(question, chosen)) return;
        found.push(index);
      });
      page = 0;
      draw();
    };

    const turn = (by) => {
      page = Math.min(Math.max(page + by, 0), pages() - 1);
      draw();
      element("count").scrollIntoView({ block: "start" });
      cards.querySelector("button.question")?.focus({ preventScroll: true });
    };

    const drawOpened = () => {
      const question = data.questions[found[open]];
      const title = make("h3", { id: "opened-question" }, ...textOf(question.question));
      const answers = answersOf(data, question, number(adapter), data.metrics);
      const picture = make("div", { className: "picture" }, pictureOf(data.charts[question.chart]));
      openedBody.replaceChildren(picture, title, goldOf(question), answers, factsOf(data, question));
      element("opened-place").textContent = `${open + 1} of ${found.length.toLocaleString("en")}`;
      element("opened-previous").disabled = open === 0;
      element("opened-next").disabled = open + 1 >= found.length;
      opened.scrollTop = 0;
    };

    const openQuestion = (place) => {
      open = place;
      drawOpened();
      opened.showModal();
    };

    const step = (by) => {
      const place = open + by;
      if (place < 0 || place >= found.length) return;
      open = place;
      drawOpened();
    };

    element("filters").addEventListener("input", filter);
    element("filters").addEventListener("submit", (event) => event.preventDefault());
    /* The fields are empty only after the event. */
    element("filters").addEventListener("reset", () => setTimeout(filter));
    element("previous").addEventListener("click", () => turn(-1));
    element("next").addEventListener("click", () => turn(1));
    element("opened-previous").addEventListener("click", () => step(-1));
    element("opened-next").addEventListener("click", () => step(1));
    element("opened-close").addEventListener("click", () => opened.close());
    opened.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    /* A click beside the dialog is one on the dialog itself. */
    opened.addEventListener("click", (event) => { if (event.target === opened) opened.close(); });
    element("needs-script").hidden = true;
    element("gallery").hidden = false;
    draw();
  };

  /* ---- print: everything that is folded is open ---- */

  const startPrinting = () => {
    let folded = [];
    addEventListener("beforeprint", () => {
      folded = [...document.querySelectorAll("details:not([open])")];
      for (const details of folded) details.open = true;
    });
    addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
  };

  startTheme();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  startPrinting();
  startGallery(JSON.parse(element("gallery-data").textContent));
})();
