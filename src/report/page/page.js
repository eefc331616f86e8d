"use strict";

/* The page's script: theme, sorting, and the gallery. Text from models and data sets is set as text, never as markup. */
(() => {
  /* Charts of a page, and questions of a chart that are shown before all of them are asked for. */
  const PER_PAGE = 12;
  const FIRST_QUESTIONS = 6;
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

  /* The rules that were tried for each metric, in their order; the last one decided. */
  const stepsOf = ({ metrics, steps }, answer) => {
    const list = make("ol");
    for (const [metric, rule, detail] of steps.lists[answer.steps]) {
      const text = `${metrics[metric]}: ${steps.rules[rule]}`;
      list.append(make("li", {}, make("bdi", { textContent: detail ? `${text}: ${detail}` : text })));
    }
    return make("details", { className: "steps" }, make("summary", { textContent: "How it was scored" }), list);
  };

  /* With `data` the answer's scores and steps, too. */
  const answerOf = (row, answer, data) => {
    const item = make("li", { className: answer.verdict });
    const [symbol, meaning] = VERDICTS[answer.verdict];
    const mark = make("span", { className: "mark" }, make("span", { ariaHidden: "true", textContent: symbol }));
    mark.append(hidden(`${meaning}: `));
    const who = make("span", { className: "who" }, make("bdi", { textContent: row.label }));
    if (answer.change) who.append(" ", make("span", { className: `change ${answer.change}`, textContent: answer.change }));
    if (answer.notation) {
      const why = answer.notation === "notation" ? answer.notation : `notation: ${answer.notation}`;
      who.append(" ", make("span", { className: "notation", textContent: `right but for ${why}` }));
    }
    const what = make("span", { className: "what" });
    if (answer.text !== undefined) what.append(...(answer.text === "" ? [make("i", { textContent: "empty" })] : textOf(answer.text)));
    if (answer.error !== undefined) what.append(make("span", { className: "error" }, ...textOf(answer.error)));
    if (data) {
      const scores = data.metrics.map((metric, index) => `${metric} ${percent(answer.scores[index])}`);
      what.append(make("span", { className: "scores", textContent: scores.join(" · ") }));
      if (answer.steps !== undefined) what.append(stepsOf(data, answer));
    } else if (answer.verdict === "partly") {
      what.append(make("span", { className: "scores", textContent: `${percent(answer.scores[0])} %` }));
    }
    item.append(mark, who, what);
    return item;
  };

  const answersOf = (data, question, chosen, whole) => {
    const list = make("ul", { className: "answers" });
    question.answers.forEach((answer, index) => {
      if (!answer) return;
      const item = answerOf(data.rows[index], answer, whole ? data : undefined);
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

  /* ---- the gallery: an array of questions is filtered and grouped by chart, a page of charts is drawn ---- */

  const anyAnswer = (question, chosen, test) =>
    chosen === null
      ? question.answers.some((answer) => answer && test(answer))
      : Boolean(question.answers[chosen] && test(question.answers[chosen]));

  /* The part of the models that stand against the others, up to a half. */
  const disagreement = (data, question) => {
    const models = question.answers.filter((answer, index) => answer && data.rows[index].kind === "model");
    const right = models.filter(({ verdict }) => verdict === "right").length;
    const verdicts = new Set(models.map(({ verdict }) => verdict)).size;
    if (verdicts < 2) return 0;
    return Math.max(Math.min(right, models.length - right), 0.5) / models.length;
  };

  const MISSED = new Set(["wrong", "partly", "failed"]);

  const tests = (data) => ({
    right: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => verdict === "right"),
    wrong: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => MISSED.has(verdict)),
    failed: (question, chosen) => anyAnswer(question, chosen, ({ verdict }) => verdict === "failed"),
    notation: (question, chosen) => anyAnswer(question, chosen, ({ notation }) => notation !== undefined),
    fixed: (question, chosen) => anyAnswer(question, chosen, ({ change }) => change === "fixed"),
    broken: (question, chosen) => anyAnswer(question, chosen, ({ change }) => change === "broken"),
    disagree: (question) => disagreement(data, question) > 0,
  });

  const searchable = (data) =>
    data.questions.map((question) => {
      const answers = question.answers.map((answer) => answer?.text ?? answer?.error ?? "");
      const parts = [question.id, data.charts[question.chart].id, question.question, question.gold, ...answers];
      return parts.join("\n").toLowerCase();
    });

  /* Questions of one chart are one group. By disagreement, the chart with the most questions that models answer differently comes
     first, and so does the question that splits them most. */
  const grouped = (found, data, weights) => {
    const groups = new Map();
    for (const index of found) {
      const { chart } = data.questions[index];
      const group = groups.get(chart) ?? { chart, questions: [], telling: 0 };
      group.questions.push(index);
      if (weights) group.telling += weights[index] > 0;
      groups.set(chart, group);
    }
    const all = [...groups.values()];
    if (!weights) return all;
    for (const { questions } of all) questions.sort((a, b) => weights[b] - weights[a] || a - b);
    return all.sort((a, b) => b.telling - a.telling);
  };

  /* The address holds the filters and the open question: `#answer=fixed&open=q17`; an address without `=` is a section's. */
  const readAddress = () => {
    const text = location.hash.slice(1);
    return text.includes("=") ? new URLSearchParams(text) : null;
  };

  const writeAddress = (entries) => {
    const state = new URLSearchParams(entries.filter(([, value]) => value !== ""));
    const address = state.toString();
    if (!address && !readAddress()) return;
    /* Some viewers forbid it; the page works without. */
    try { history.replaceState(null, "", address ? `#${address}` : "#questions"); } catch { /* as it was */ }
  };

  const startGallery = (data) => {
    /* Made by the first search: the page opens without it. */
    let texts = null;
    const test = tests(data);
    const weights = data.questions.map((question) => disagreement(data, question));
    const [search, adapter, verdict, order, charts] = ["search", "adapter", "answer", "order", "charts"].map(element);
    const [opened, openedBody] = ["opened", "opened-body"].map(element);
    let groups = [];
    /* The questions that match, in the order in which they are shown. */
    let found = [];
    let page = 0;
    /* The place in `found` of the question in the dialog; null while that is closed. */
    let open = null;

    data.rows.forEach((row, index) => adapter.append(make("option", { value: String(index), textContent: row.label })));
    const slices = data.slices.map((slice) => {
      const select = make("select", {}, make("option", { value: "", textContent: "any" }));
      slice.values.forEach((value, index) => select.append(make("option", { value: String(index), textContent: value })));
      element("slice-filters").append(make("label", {}, make("bdi", { textContent: slice.name }), " ", select));
      return select;
    });

    const number = (select) => (select.value === "" ? null : Number(select.value));
    const pages = () => Math.max(1, Math.ceil(groups.length / PER_PAGE));
    const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

    const remember = () => {
      const nameOf = (names, select) => (select.value === "" ? "" : names[Number(select.value)]);
      writeAddress([
        ["search", search.value],
        ["adapter", nameOf(data.rows.map(({ label }) => label), adapter)],
        ["answer", verdict.value],
        ["order", order.value === "disagreement" ? "" : order.value],
        ...data.slices.map((slice, index) => [`by ${slice.name}`, nameOf(slice.values, slices[index])]),
        ["page", page ? String(page + 1) : ""],
        ["open", open === null ? "" : data.questions[found[open]].id],
      ]);
    };

    const card = (index) => {
      const question = data.questions[index];
      const short = question.question.slice(0, LONG) + (question.question.length > LONG ? "…" : "");
      const button = make("button", { type: "button", className: "question" }, make("bdi", { textContent: short }));
      button.addEventListener("click", () => openQuestion(found.indexOf(index)));
      return make("li", {}, make("h4", {}, button), goldOf(question), answersOf(data, question, number(adapter)));
    };

    const chartOf = ({ chart, questions }) => {
      const picture = make("div", { className: "picture" }, pictureOf(data.charts[chart]));
      picture.addEventListener("click", () => openQuestion(found.indexOf(questions[0])));
      const name = make("h3", { className: "chart-name" }, make("bdi", { textContent: data.charts[chart].id }), `, ${plural(questions.length, "question")}`);
      const cards = make("ol", { className: "cards" }, ...questions.slice(0, FIRST_QUESTIONS).map(card));
      const right = make("div", {}, cards);
      if (questions.length > FIRST_QUESTIONS) {
        const more = make("button", { type: "button", className: "more", textContent: `Show all ${plural(questions.length, "question")} of this chart` });
        more.addEventListener("click", () => {
          const rest = questions.slice(FIRST_QUESTIONS).map(card);
          cards.append(...rest);
          more.remove();
          rest[0].querySelector("button").focus();
        });
        right.append(more);
      }
      return make("li", { className: "chart" }, make("div", { className: "seen" }, name, picture), right);
    };

    const draw = () => {
      const start = page * PER_PAGE;
      charts.replaceChildren(...groups.slice(start, start + PER_PAGE).map(chartOf));
      const some = `${found.length.toLocaleString("en")} of ${plural(data.questions.length, "question")} on ${plural(groups.length, "chart")}`;
      const all = found.length === 0 ? "No question matches" : some;
      element("count").textContent = pages() > 1 ? `${all}, page ${page + 1} of ${pages()}` : all;
      element("page-number").textContent = `${page + 1} / ${pages()}`;
      element("previous").disabled = page === 0;
      element("next").disabled = page + 1 >= pages();
      element("pager").hidden = pages() === 1;
    };

    const find = () => {
      const needle = search.value.trim().toLowerCase();
      const chosen = number(adapter);
      const passes = test[verdict.value];
      const values = slices.map(number);
      if (needle) texts ??= searchable(data);
      const matches = [];
      data.questions.forEach((question, index) => {
        if (needle && !texts[index].includes(needle)) return;
        if (values.some((value, slice) => value !== null && question.slices[slice] !== value)) return;
        if (passes && !passes(question, chosen)) return;
        matches.push(index);
      });
      groups = grouped(matches, data, order.value === "disagreement" ? weights : null);
      found = groups.flatMap(({ questions }) => questions);
    };

    const filter = () => {
      find();
      page = 0;
      draw();
      remember();
    };

    const turn = (by) => {
      page = Math.min(Math.max(page + by, 0), pages() - 1);
      draw();
      remember();
      element("count").scrollIntoView({ block: "start" });
      charts.querySelector("button.question")?.focus({ preventScroll: true });
    };

    const drawOpened = () => {
      const question = data.questions[found[open]];
      const title = make("h3", { id: "opened-question" }, ...textOf(question.question));
      const answers = answersOf(data, question, number(adapter), true);
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
      if (!opened.open) opened.showModal();
      remember();
    };

    const step = (by) => {
      const place = open + by;
      if (place < 0 || place >= found.length) return;
      open = place;
      drawOpened();
      remember();
    };

    /* What the address holds; names that this page does not have are left out. */
    const recall = () => {
      const state = readAddress();
      if (!state) return;
      const choose = (select, names, name) => {
        const place = names.indexOf(name);
        select.value = place < 0 ? "" : String(place);
      };
      search.value = state.get("search") ?? "";
      choose(adapter, data.rows.map(({ label }) => label), state.get("adapter"));
      verdict.value = state.get("answer") ?? "";
      if (verdict.selectedIndex < 0) verdict.value = "";
      order.value = state.get("order") === "data" ? "data" : "disagreement";
      data.slices.forEach((slice, index) => choose(slices[index], slice.values, state.get(`by ${slice.name}`)));
      find();
      page = Math.min(Math.max((Number.parseInt(state.get("page"), 10) || 1) - 1, 0), pages() - 1);
      draw();
      const id = state.get("open");
      const place = id === null ? -1 : found.findIndex((index) => data.questions[index].id === id);
      if (place >= 0) openQuestion(place);
      else if (opened.open) opened.close();
      element("questions").scrollIntoView({ block: "start", behavior: "instant" });
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
    opened.addEventListener("close", () => {
      open = null;
      remember();
    });
    opened.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    /* A click beside the dialog is one on the dialog itself. */
    opened.addEventListener("click", (event) => { if (event.target === opened) opened.close(); });
    element("needs-script").hidden = true;
    element("gallery").hidden = false;
    find();
    draw();
    recall();
    addEventListener("hashchange", recall);
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
