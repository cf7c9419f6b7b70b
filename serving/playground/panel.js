// Shows one answer. Texts become text nodes, never HTML: what a model writes is not trusted.

const FIRST = 5;
const NUMBERS = 8;

function made(kind, className, text = "") {
  const one = document.createElement(kind);
  one.className = className;
  one.textContent = text;
  return one;
}

export const percent = (value) => `${(100 * value).toFixed(1)} %`;
const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

function bar([label, score]) {
  const item = document.createElement("li");
  const track = made("span", "bar");
  const fill = made("span", "fill");
  fill.style.width = percent(score).replace(" ", "");
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  item.append(made("span", "name", label), made("span", "value", percent(score)), track);
  return item;
}

function hit({ title, id, source, text, score }) {
  const item = made("li", "hit");
  item.append(made("span", "name", title || id), made("span", "value", score.toFixed(3)), made("p", "passage", text));
  if (source !== (title || id)) item.append(made("p", "source", source));
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

// The same in words, where bars or a list tell more to the eye.
function summary(result) {
  if (result.hits) return result.hits.length === 1 ? "1 hit" : `${result.hits.length} hits`;
  if (result.labels) return result.labels.join(", ") || "No label fits.";
  const answer = `${result.label}, ${percent(result.score)}`;
  return result.abstained ? `Too unsure to say; nearest: ${answer}` : answer;
}

function shown(result, text) {
  if (result.entities) return result.entities.length ? marked(text, result.entities) : [text];
  if (result.text !== undefined) return [result.text || "The model wrote nothing."];
  if (result.embedding) return [vector(result.embedding)];
  if (result.label !== undefined || result.labels || result.hits) return [summary(result)];
  return [String(result.score)];
}

export class Panel {
  constructor(template) {
    this.element = template.content.cloneNode(true).firstElementChild;
    this.part = (name) => this.element.querySelector(`.${name}`);
    this.part("more").addEventListener("click", () => this.#bars(!this.all));
  }

  hide() {
    this.element.hidden = true;
  }

  // The last answer stays until there is another one, only paler: nothing jumps.
  wait() {
    this.element.setAttribute("aria-busy", "true");
  }

  done() {
    this.element.removeAttribute("aria-busy");
  }

  begin(version) {
    this.element.hidden = false;
    this.part("version").textContent = version;
    for (const name of ["text", "facts", "hits"]) this.part(name).replaceChildren();
    for (const name of ["error", "text", "scores", "more", "hits"]) this.part(name).hidden = true;
  }

  write(...parts) {
    this.part("text").hidden = false;
    this.part("text").append(...parts);
  }

  facts({ total, first, tokens, stopped }) {
    const told = [stopped ? "stopped" : "", milliseconds(total)];
    if (first !== undefined) told.push(`first token ${milliseconds(first)}`);
    if (tokens) told.push(`${((1000 * tokens) / total).toFixed(0)} tokens/s`);
    this.part("facts").replaceChildren(...told.filter(Boolean).map((one) => made("span", "", one)));
  }

  fail(message) {
    this.element.hidden = false;
    this.part("error").hidden = false;
    this.part("error").textContent = message;
  }

  show(result, text) {
    const listed = result.hits || result.label !== undefined;
    if (!listed || result.abstained) this.write(...shown(result, text));
    else if (result.hits && !result.hits.length) this.write("Nothing was found.");
    this.#list(result.hits ?? []);
    this.scores = Object.entries(result.scores ?? {}).sort((one, other) => other[1] - one[1]);
    this.#bars(false);
    return result.hits || result.scores ? summary(result) : this.part("text").textContent;
  }

  #list(hits) {
    this.part("hits").hidden = !hits.length;
    this.part("hits").replaceChildren(...hits.map(hit));
  }

  #bars(all) {
    const more = this.part("more");
    this.all = all;
    this.part("scores").hidden = !this.scores.length;
    this.part("scores").replaceChildren(...this.scores.slice(0, all ? undefined : FIRST).map(bar));
    more.hidden = this.scores.length <= FIRST;
    more.setAttribute("aria-expanded", String(all));
    more.textContent = all ? "Show fewer" : `Show all ${this.scores.length} labels`;
  }
}
