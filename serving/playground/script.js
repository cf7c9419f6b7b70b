"use strict";

const FIRST = 5;
const element = (id) => document.getElementById(id);
const form = element("form");
const input = element("input");
const send = element("send");
const models = JSON.parse(form.dataset.models);
const choose = element("choose");
let chosen = models[0];
let scores = [];

function request() {
  // The first model of a task answers without being named.
  const named = models.find((one) => one.route === chosen.route) === chosen ? {} : { model: chosen.id };
  return JSON.stringify({ input: input.value, ...named });
}

function show(model) {
  chosen = model;
  element("model").textContent = model.id;
  element("task").textContent = model.task;
  send.textContent = model.verb;
  input.value = model.example;
  element("answer").hidden = true;
  element("error").hidden = true;
  showCommand();
}

function curl() {
  const body = request().replaceAll("'", "'\\''");
  return `curl ${location.origin}${chosen.route} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

function showCommand() {
  element("curl").textContent = curl();
}

function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}

function row([label, score]) {
  const item = document.createElement("li");
  for (const [kind, text] of [["name", label], ["value", percent(score)], ["bar", ""]]) {
    const part = document.createElement("span");
    part.className = kind;
    part.textContent = text;
    item.append(part);
  }
  const fill = document.createElement("div");
  fill.className = "fill";
  fill.style.width = `${100 * score}%`;
  item.lastChild.setAttribute("aria-hidden", "true");
  item.lastChild.append(fill);
  return item;
}

function showScores(all) {
  const more = element("more");
  element("scores").replaceChildren(...scores.slice(0, all ? undefined : FIRST).map(row));
  more.hidden = scores.length <= FIRST;
  more.setAttribute("aria-expanded", String(all));
  more.textContent = all ? "Show fewer" : `Show all ${scores.length} labels`;
}

function marked(text, entities) {
  const letters = Array.from(text); // the service counts characters, a string here UTF-16 units
  const between = (start, end) => letters.slice(start, end).join("");
  const parts = [];
  let at = 0;
  for (const entity of entities) {
    const mark = document.createElement("mark");
    const kind = document.createElement("small");
    kind.textContent = entity.type;
    mark.title = percent(entity.score);
    mark.append(between(entity.start, entity.end), kind);
    parts.push(between(at, entity.start), mark);
    at = entity.end;
  }
  return [...parts, between(at)];
}

function shown(result, text) {
  if (result.entities) return marked(text, result.entities);
  if (result.text !== undefined) return [result.text];
  if (result.embedding) {
    const first = result.embedding.slice(0, 8).map((one) => one.toFixed(3)).join(", ");
    return [`${result.embedding.length} numbers: ${first}, ...`];
  }
  if (result.labels) return [result.labels.join(", ") || "no label"];
  if (result.label === undefined) return [String(result.score)];
  const answer = `${result.label}, ${percent(result.score)}`;
  return [result.abstained ? `Too unsure to say; nearest: ${answer}` : answer];
}

function showAnswer(body, text, version, milliseconds) {
  const [result] = body.results;
  scores = Object.entries(result.scores ?? {}).sort((one, other) => other[1] - one[1]);
  element("error").hidden = true;
  element("answer").hidden = false;
  element("version").textContent = version;
  element("latency").textContent = `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
  element("summary").replaceChildren(...shown(result, text));
  element("summary").className = result.scores ? "heard" : "";
  element("scores").hidden = !result.scores;
  showScores(false);
}

function showError(message) {
  element("answer").hidden = true;
  element("error").hidden = false;
  element("error").textContent = message;
}

async function ask() {
  const text = input.value;
  const start = performance.now();
  const response = await fetch(chosen.route, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: request(),
  });
  const body = await response.json();
  if (response.ok) {
    showAnswer(body, text, response.headers.get("X-Model-Version"), performance.now() - start);
  } else {
    showError(`${body.error.message} (${response.status}, ${body.error.type})`);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (send.getAttribute("aria-disabled") === "true") return;
  send.setAttribute("aria-disabled", "true");
  try {
    await ask();
  } catch {
    showError("The service does not answer. Is it still running?");
  } finally {
    send.removeAttribute("aria-disabled");
  }
});

input.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
input.addEventListener("input", showCommand);

element("more").addEventListener("click", () => {
  showScores(element("more").getAttribute("aria-expanded") === "false");
});

element("copy").addEventListener("click", async () => {
  const button = element("copy");
  try {
    await navigator.clipboard.writeText(curl());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(element("curl"));
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

choose.addEventListener("change", () => show(models[choose.selectedIndex]));
choose.append(...models.map((one) => new Option(`${one.verb}: ${one.id}`)));
element("choice").hidden = models.length === 1;
showCommand();
