// Shows one answer. Texts become text nodes, never HTML: what a model writes is not trusted.

const FIRST = 5;
const NUMBERS = 8;
const EMPTY = "The model wrote nothing.";

function made(kind, className, text = "") {
  const one = document.createElement(kind);
  one.className = className;
  one.textContent = text;
  return one;
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const short = (value) => value.toFixed(value < 10 ? 1 : 0);

function bar([label, score]) {
  const item = document.createElement("li");
  const track = made("span", "bar");
  const fill = made("span", "fill");
  fill.style.width = `${100 * score}%`;
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  item.append(made("span", "name", label), made("span", "value", percent(score)), track);
  return item;
}

function hit({ title, id, source, text, score }) {
  const item = document.createElement("li");
  const name = title || id;
  item.append(made("span", "name", name), made("span", "value", score.toFixed(3)), made("p", "passage", text));
  if (source !== name) item.append(made("p", "source", source));
  return item;
}

function marked(text, entities) {
  const letters = Array.from(text); // the service counts characters, a string here UTF-16 units
  const between = (start, end) => letters.slice(start, end).join("");
  const parts = [];
  let at = 0;
  for (const { start, end, type, score } of entities) {
    const mark = made("mark", "", between(start, end));
    mark.title = percent(score);
    mark.append(made("small", "", type));
    parts.push(between(at, start), mark);
    at = end;
  }
  return [...parts, between(at)];
}

function vector(embedding) {
  const first = embedding.slice(0, NUMBERS).map((one) => one.toFixed(3)).join(", ");
  return `${embedding.length} numbers: ${first}${embedding.length > NUMBERS ? ", ..." : ""}`;
}

// What stands above bars or a list; nothing where they say it all.
function words(result, text) {
  if (result.entities) return marked(text, result.entities);
  if (result.text !== undefined) return [result.text || EMPTY];
  if (result.embedding) return [vector(result.embedding)];
  if (result.hits) return result.hits.length ? [] : ["Nothing was found."];
  if (result.labels) return [result.labels.join(", ") || "No label fits."];
  if (result.label === undefined) return [String(result.score)];
  return result.abstained ? [`Too unsure to say. Nearest: ${result.label}`] : [];
}

export class Panel {
  constructor(template) {
    this.element = template.content.cloneNode(true).firstElementChild;
    this.part("more").addEventListener("click", () => this.#bars(!this.open));
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  hide() {
    this.element.hidden = true;
  }

  // The last answer stays until there is another one, only paler: nothing jumps.
  wait() {
    this.begun = false;
    this.element.setAttribute("aria-busy", "true");
  }

  done() {
    this.element.removeAttribute("aria-busy");
  }

  begin(version) {
    if (this.begun) return;
    this.begun = true;
    this.done();
    this.element.hidden = false;
    this.part("version").textContent = version;
    for (const name of ["text", "facts", "scores", "hits", "error"]) this.part(name).replaceChildren();
    for (const name of ["text", "scores", "more", "hits", "error"]) this.part(name).hidden = true;
  }

  write(...parts) {
    this.part("text").hidden = false;
    this.part("text").append(...parts);
  }

  facts({ total, first, tokens, stopped }) {
    const told = [`${short(total)} ms`];
    if (first !== undefined) told.push(`first token ${short(first)} ms`);
    if (tokens) told.push(`${short((1000 * tokens) / total)} tokens/s`);
    if (stopped) told.push("stopped");
    this.part("facts").replaceChildren(...told.map((one) => made("span", "", one)));
  }

  fail(message) {
    this.part("error").hidden = false;
    this.part("error").textContent = message;
  }

  show(result, text) {
    const parts = words(result, text);
    if (parts.length) this.write(...parts);
    this.part("hits").replaceChildren(...(result.hits ?? []).map(hit));
    this.part("hits").hidden = !result.hits?.length;
    this.scores = Object.entries(result.scores ?? {}).sort((one, other) => other[1] - one[1]);
    this.#bars(false);
  }

  // The answer in one sentence, for a screen reader.
  told() {
    const rows = [...this.element.querySelectorAll(".name")].map((one) => one.textContent);
    const said = [this.part("error"), this.part("text")].map((one) => one.textContent);
    return [this.part("version").textContent, ...said, rows[0]].filter(Boolean).join(": ");
  }

  #bars(open) {
    const more = this.part("more");
    this.open = open;
    this.part("scores").hidden = !this.scores.length;
    this.part("scores").replaceChildren(...this.scores.slice(0, open ? undefined : FIRST).map(bar));
    more.hidden = this.scores.length <= FIRST;
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? "Show fewer" : `Show all ${this.scores.length} labels`;
  }
}
